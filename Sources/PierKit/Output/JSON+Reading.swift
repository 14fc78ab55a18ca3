extension JSON {
    /// Reads a value; nil when the text is none.
    init?(reading text: String) {
        var reader = JSONReader(rest: text.unicodeScalars[...])
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }
}

/// Reads RFC 8259, scalar by scalar.
private struct JSONReader {
    var rest: Substring.UnicodeScalarView

    private static let deepest = 100

    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return rest.isEmpty
        }
    }

    mutating func value(depth: Int) -> JSON? {
        skipSpace()
        guard depth < Self.deepest, let first = rest.first else { return nil }
        switch first {
        case "{": return object(depth)
        case "[": return array(depth)
        case "\"": return string().map { .string($0) }
        case "t": return take(word: "true") ? .bool(true) : nil
        case "f": return take(word: "false") ? .bool(false) : nil
        case "n": return take(word: "null") ? .null : nil
        default: return number()
        }
    }

    private mutating func object(_ depth: Int) -> JSON? {
        rest.removeFirst()
        var members: [JSON.Member] = []
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            guard rest.first == "\"", let name = string(), take(":"), let value = value(depth: depth + 1) else {
                return nil
            }
            members.append(JSON.Member(name: name, value: value))
        } while take(",")
        return take("}") ? .object(members) : nil
    }

    private mutating func array(_ depth: Int) -> JSON? {
        rest.removeFirst()
        var values: [JSON] = []
        if take("]") { return .array([]) }
        repeat {
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
        } while take(",")
        return take("]") ? .array(values) : nil
    }

    private mutating func number() -> JSON? {
        let digits = String(rest.prefix { ("0"..."9").contains($0) || "+-.eE".unicodeScalars.contains($0) })
        guard Double(digits) != nil else { return nil }
        rest.removeFirst(digits.unicodeScalars.count)
        return .number(digits)
    }

    private mutating func string() -> String? {
        rest.removeFirst()
        var text = ""
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\"": return text
            case "\\":
                guard let escaped = escaped() else { return nil }
                text.unicodeScalars.append(escaped)
            case _ where scalar.value < 0x20: return nil
            default: text.unicodeScalars.append(scalar)
            }
        }
        return nil
    }

    private mutating func escaped() -> Unicode.Scalar? {
        switch rest.popFirst() {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "b": return "\u{8}"
        case "f": return "\u{c}"
        case "\"": return "\""
        case "\\": return "\\"
        case "/": return "/"
        case "u":
            guard let unit = codeUnit() else { return nil }
            if let scalar = Unicode.Scalar(unit) { return scalar }
            // Above 16 bits a character is written as two.
            guard unit < 0xdc00, take(word: "\\u"), let second = codeUnit(), (0xdc00...0xdfff).contains(second) else {
                return nil
            }
            return Unicode.Scalar(0x10000 + (UInt32(unit) - 0xd800) << 10 + (UInt32(second) - 0xdc00))
        default: return nil
        }
    }

    private mutating func codeUnit() -> UInt16? {
        let digits = rest.prefix(4)
        guard digits.count == 4, digits.allSatisfy(\.properties.isASCIIHexDigit) else { return nil }
        rest.removeFirst(4)
        return UInt16(String(digits), radix: 16)
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func take(word: String) -> Bool {
        guard rest.starts(with: word.unicodeScalars) else { return false }
        rest.removeFirst(word.unicodeScalars.count)
        return true
    }

    private mutating func skipSpace() {
        while let first = rest.first, " \t\r\n".unicodeScalars.contains(first) { rest.removeFirst() }
    }
}
