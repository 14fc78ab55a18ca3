// What a peer sent can hold sequences that move the cursor, set the window's title or turn text around. Nothing of it may
// reach a terminal as it is (CWE-150).

extension Unicode.Scalar {
    /// Whether a terminal would act on it, or it would change how the text around it is read: C0, DEL, C1, and the
    /// bidirectional controls; line and paragraph separators too.
    package var isUnsafeForTerminal: Bool {
        switch value {
        case 0x00...0x1f, 0x7f...0x9f: true
        case 0x061c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}

extension StringProtocol {
    /// The text with everything unsafe for a terminal written visibly: `\n`, `\t`, `\xNN` or `\u{N}`.
    package func escapedForTerminal(keepingTab: Bool = false) -> String {
        guard unicodeScalars.contains(where: \.isUnsafeForTerminal) else { return String(self) }
        var safe = ""
        for scalar in unicodeScalars {
            switch scalar {
            case _ where !scalar.isUnsafeForTerminal: safe.unicodeScalars.append(scalar)
            case "\t" where keepingTab: safe += "\t"
            case "\n": safe += "\\n"
            case "\r": safe += "\\r"
            case "\t": safe += "\\t"
            case _ where scalar.value < 0x80: safe += "\\x" + twoHexDigits(UInt8(scalar.value))
            default: safe += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return safe
    }
}

/// Two lower-case hexadecimal digits.
package func twoHexDigits(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16)
    return text.count == 1 ? "0" + text : text
}
