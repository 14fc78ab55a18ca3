// `%XX` in the place and the values of an endpoint (RFC 3986, 2.1).

/// The bytes as text, with all that a grammar or a terminal would take for something else written as `%XX`.
func percentEscaped(_ bytes: ArraySlice<UInt8>, also reserved: StaticString = "?%&") -> String {
    let isText = String(validating: bytes, as: UTF8.self) != nil
    var text: [UInt8] = []
    let special = UnsafeBufferPointer(start: reserved.utf8Start, count: reserved.utf8CodeUnitCount)
    for byte in bytes {
        if byte <= 0x20 || byte == 0x7f || (byte >= 0x80 && !isText) || special.contains(byte) {
            text += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)]
        } else {
            text.append(byte)
        }
    }
    return String(decoding: text, as: UTF8.self)
}

private func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
}

func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}
