internal import Sockets

/// The tutorial's client: a prompt, a line, its reply, and again until the input ends. Who answers has the prompt after what
/// the client said.
struct Dialogue {
    private let join: StreamJoin
    private let input: StandardInput
    private let rules: JoinRules
    private var display: Display

    static let prompt = "--->"

    init(_ join: StreamJoin, _ input: StandardInput, _ rules: JoinRules) {
        self.join = join
        self.input = input
        self.rules = rules
        display = Display(rules.show ?? .text)
    }

    consuming func run() throws(Failure) {
        while true {
            if rules.answers {
                // A client that comes after end-of-file finds the end at once.
                if input.isOver { break }
                guard try showMessage() else { return }
                // A signal may have stopped the input during the wait.
                if input.isOver { break }
            }
            guard let line = try nextLine() else { break }
            let end: [UInt8] = rules.sendsReturns ? [UInt8(ascii: "\r"), UInt8(ascii: "\n")] : []
            try join.send(line + end, asRead: line + [UInt8(ascii: "\n")])
            if !rules.answers { guard try showMessage() else { return } }
        }
        // The terminal's own prompt should not stand behind ours.
        if Standard.isTerminal(1) { try rules.write("\n") }
        // After a signal the main thread decides how the connection ends.
        if !input.isStopped { try join.finishSending() }
        // Nothing that the peer still says is dropped.
        while try showMessage() {}
    }

    /// Asks until there is something to send; nil when the input has ended.
    private func nextLine() throws(Failure) -> [UInt8]? {
        while true {
            rules.catchUp()
            try rules.write(Self.prompt)
            guard let line = try join.readLine() else { return nil }
            if !line.isEmpty || rules.sendsReturns { return line }
            rules.note(Language.current.emptyMessage)
        }
    }

    /// Receives a message and shows it; false when it is the last, or when the peer has finished instead.
    private mutating func showMessage() throws(Failure) -> Bool {
        let bytes = try join.receive()
        if let bytes, let text = display.text(for: bytes) { try show(text) }
        guard bytes == nil || join.hasStopped else { return true }
        if let rest = display.rest() { try show(rest) }
        return false
    }

    private func show(_ text: String) throws(Failure) {
        try rules.write(rules.mark + text + "\n")
    }
}
