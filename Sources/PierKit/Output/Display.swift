internal import SocketCore

/// Turns what a peer sent into text that a terminal can be given: escaped, and with characters whole.
///
/// A stream is cut anywhere, also in the middle of a character. The cut part is held until the rest arrives.
struct Display {
    let show: Show
    /// Whether LF, CR LF and TAB pass as they are; else a trailing newline is dropped and others are escaped.
    let keepsLines: Bool
    private var held: [UInt8] = []

    init(_ show: Show, keepsLines: Bool = false) {
        self.show = show
        self.keepsLines = keepsLines
    }

    /// The text for what has come; nil when there is nothing to show yet.
    mutating func text(for bytes: [UInt8]) -> String? {
        switch show {
        case .none: return nil
        case .hex: return bytes.map(twoHexDigits).joined(separator: " ")
        case .text:
            var all = held + bytes
            // A CR may be the beginning of a CR LF, which is a line's end and passes whole.
            let cut = keepsLines && all.last == UInt8(ascii: "\r") ? 1 : cutCharacter(at: all)
            held = Array(all.suffix(cut))
            all.removeLast(cut)
            return all.isEmpty ? nil : escaped(all)
        }
    }

    /// The text for a message that has borders of its own, so that nothing of it is held.
    func text(forWhole bytes: [UInt8]) -> String {
        show == .hex ? bytes.map(twoHexDigits).joined(separator: " ") : escaped(bytes)
    }

    /// The text for what is still held, when nothing more will come.
    mutating func rest() -> String? {
        defer { held = [] }
        return held.isEmpty ? nil : escaped(held)
    }

    private func escaped(_ bytes: [UInt8]) -> String {
        var bytes = bytes[...]
        if !keepsLines, bytes.last == UInt8(ascii: "\n") {
            bytes = bytes.dropLast()
            if bytes.last == UInt8(ascii: "\r") { bytes = bytes.dropLast() }
        }
        if let whole = String(validating: bytes, as: UTF8.self) { return escaped(whole) }
        // Not UTF-8 throughout: what is, is shown, and each other byte as a number.
        var text = ""
        var valid: [UInt8] = []
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var index = bytes.startIndex
        parsing: while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let scalar):
                valid += scalar
                index += scalar.count
            case .error(let length):
                text += escaped(String(decoding: valid, as: UTF8.self))
                valid = []
                for byte in bytes[index...].prefix(length) { text += "\\x" + twoHexDigits(byte) }
                index += length
            case .emptyInput:
                break parsing
            }
        }
        return text + escaped(String(decoding: valid, as: UTF8.self))
    }

    private func escaped(_ text: String) -> String {
        guard keepsLines else { return text.escapedForTerminal(keepingTab: true) }
        // Every CR that is not a line's end could overwrite the line.
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.enumerated().map { index, line in
            let isLast = index == lines.count - 1
            let endsWithReturn = !isLast && line.last == "\r"
            let shown = String(String.UnicodeScalarView(endsWithReturn ? line.dropLast() : line))
            return shown.escapedForTerminal(keepingTab: true) + (endsWithReturn ? "\r" : "")
        }.joined(separator: "\n")
    }

    /// How many bytes at the end are the beginning of a character that is not whole yet.
    private func cutCharacter(at bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte & 0b1100_0000 == 0b1000_0000 { continue }
            let length = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1
            return byte < 0xf5 && length > back ? back : 0
        }
        return 0
    }
}
