// `%XX` in the place and the values of an endpoint (RFC 3986, 2.1).

/// The bytes as text, with all that a grammar or a terminal would take for something else written as `%XX`.
func percentEscaped(_ bytes: ArraySlice<UInt8>, also reserved: StaticString = "?%&") -> String {
    let special = UnsafeBufferPointer(start: reserved.utf8Start, count: reserved.utf8CodeUnitCount)
    var text = ""
    // By characters, not bytes: C1 and the bidirectional controls are valid UTF-8, and a peer chooses its abstract name.
    guard let whole = String(validating: bytes, as: UTF8.self) else {
        for byte in bytes {
            appendByte(byte, escaped: byte <= 0x20 || byte >= 0x7f || special.contains(byte), to: &text)
        }
        return text
    }
    for scalar in whole.unicodeScalars {
        if scalar == " " || scalar.isUnsafeForTerminal || (scalar.isASCII && special.contains(UInt8(scalar.value))) {
            for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                appendByte(byte, escaped: true, to: &text)
            }
        } else {
            text.unicodeScalars.append(scalar)
        }
    }
    return text
}

private func appendByte(_ byte: UInt8, escaped: Bool, to text: inout String) {
    guard escaped else { return text.unicodeScalars.append(Unicode.Scalar(byte)) }
    for digit in [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)] {
        text.unicodeScalars.append(Unicode.Scalar(digit))
    }
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
