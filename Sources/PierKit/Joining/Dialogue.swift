internal import Sockets

/// The tutorial's client: a prompt, a line, its reply, and again until the input ends.
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
            rules.catchUp()
            try rules.write(Self.prompt)
            guard let line = try input.line() else { break }
            if line.isEmpty {
                rules.note(Language.current.emptyMessage)
                continue
            }
            try join.send(line)
            guard try showReply() else { return }
        }
        // The terminal's own prompt should not stand behind ours.
        if Standard.isTerminal(1) { try rules.write("\n") }
        try join.finishSending()
        // Nothing that the peer still says is dropped.
        while try showReply() {}
    }

    /// Receives one reply and shows it; false when the peer has finished instead.
    private mutating func showReply() throws(Failure) -> Bool {
        guard let bytes = try join.receive() else {
            if let rest = display.rest() { try show(rest) }
            return false
        }
        if let text = display.text(for: bytes) { try show(text) }
        return true
    }

    private func show(_ text: String) throws(Failure) {
        try rules.write(Language.current.reply + text + "\n")
    }
}
