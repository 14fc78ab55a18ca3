extension Endpoint {
    /// A program and its arguments, as `exec:` names them: words by the shell's rules of quoting, and nothing else of the
    /// shell's. No shell ever sees them, so `$`, `*`, `|` and `;` are ordinary characters.
    public struct Command: Hashable, Sendable {
        /// The program's name or path, and behind it what it is given.
        public let arguments: [String]

        /// A program with its arguments; nil where there is no program, or where a word holds what cannot be printed so
        /// that it parses back: a control character, or one that changes the direction of writing.
        public init?(_ arguments: [String]) {
            guard let program = arguments.first, !program.isEmpty else { return nil }
            let isPlain = arguments.allSatisfy { !$0.unicodeScalars.contains(where: \.isUnsafeForTerminal) }
            guard isPlain else { return nil }
            self.arguments = arguments
        }

        /// What is run: a path, or a name to look for in `PATH`.
        public var program: String { arguments.first ?? "" }
    }
}

extension Endpoint.Command: CustomStringConvertible {
    /// The words as they parse back, here and in a shell.
    public var description: String { arguments.map(quoted).joined(separator: " ") }
}

/// A word as a shell takes it for one: in quotes, unless there is nothing in it that a shell would look at.
private func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...:
            true
        default: "_@%+=:,./-".utf8.contains(byte)
        }
    }
    guard !isPlain || word.isEmpty else { return word }
    // By scalars: to a String, a quote and a combining mark are one character, and no quote.
    var text = "'"
    for scalar in word.unicodeScalars {
        if scalar == "'" { text += "'\\''" } else { text.unicodeScalars.append(scalar) }
    }
    return text + "'"
}

/// Splits a command line into words, as `sh` does where nothing is expanded (POSIX, Shell Command Language, 2.2).
struct CommandSplitter {
    /// What is wrong, and at which byte.
    struct Fault: Error {
        let position: Int
        let reason: Phrase
    }

    private let bytes: ArraySlice<UInt8>
    private var index: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    mutating func words() throws(Fault) -> [String] {
        try checkCharacters()
        var words: [String] = []
        while skipBlanks() {
            let start = index
            let word = try word()
            if words.isEmpty, word.isEmpty { throw Fault(position: start, reason: "the name of a program is missing") }
            words.append(String(decoding: word, as: UTF8.self))
        }
        guard !words.isEmpty else {
            throw Fault(
                position: index, reason: "a command is missing; write exec:PROGRAM ARGUMENTS, such as exec:cat")
        }
        return words
    }

    /// A zero byte would end an argument, and nothing that a terminal obeys may be printed.
    private func checkCharacters() throws(Fault) {
        var position = bytes.startIndex
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if scalar.isUnsafeForTerminal, scalar != "\t" {
                throw Fault(
                    position: position,
                    reason: "a control character cannot be part of a command; put it into a script, and run that")
            }
            position += UTF8.width(scalar)
        }
    }

    /// Whether a word begins behind the blanks.
    private mutating func skipBlanks() -> Bool {
        while index < bytes.endIndex, isBlank(bytes[index]) { index += 1 }
        return index < bytes.endIndex
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// One word, which begins here; it may be of several pieces, quoted and not.
    private mutating func word() throws(Fault) -> [UInt8] {
        var word: [UInt8] = []
        while index < bytes.endIndex, !isBlank(bytes[index]) {
            let start = index
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "'"), UInt8(ascii: "\""): word += try quoted(from: start, by: byte)
            case UInt8(ascii: "\\"):
                guard index < bytes.endIndex else {
                    throw Fault(
                        position: start,
                        reason: "there is nothing behind the backslash; write a backslash itself as \\\\")
                }
                word.append(bytes[index])
                index += 1
            default: word.append(byte)
            }
        }
        // A tab in quotes is a character of the word, and it could not be printed.
        if word.contains(UInt8(ascii: "\t")) {
            throw Fault(
                position: bytes[..<index].lastIndex(of: UInt8(ascii: "\t")) ?? index,
                reason: "a control character cannot be part of a command; put it into a script, and run that")
        }
        return word
    }

    /// What stands between quotes, the first of which is behind us. In double ones a backslash stands before `\`, `"`, `$`
    /// and a backquote, and is itself before anything else.
    private mutating func quoted(from start: Int, by quote: UInt8) throws(Fault) -> [UInt8] {
        var inside: [UInt8] = []
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if byte == quote { return inside }
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), index < bytes.endIndex,
                "\\\"$`".utf8.contains(bytes[index])
            {
                inside.append(bytes[index])
                index += 1
            } else {
                inside.append(byte)
            }
        }
        throw Fault(
            position: start,
            reason: quote == UInt8(ascii: "'")
                ? "the quote is not closed; write a quote itself as \\'"
                : "the quote is not closed; write a quote itself as \\\"")
    }
}
