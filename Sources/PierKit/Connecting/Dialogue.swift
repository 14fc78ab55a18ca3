internal import Sockets

/// The tutorial's client: a prompt, a line, its reply, and again until the input ends.
struct Dialogue {
    private let connection: Conversation
    private let input: StandardInput
    private let client: Client
    private var display: Display

    static let prompt = "--->"

    init(_ connection: Conversation, _ input: StandardInput, _ show: Show, _ client: Client) {
        self.connection = connection
        self.input = input
        self.client = client
        display = Display(show)
    }

    consuming func run() throws(Failure) {
        while true {
            client.catchUp()
            try client.write(Array(Self.prompt.utf8))
            guard let line = try input.line() else { break }
            if line.isEmpty {
                client.note(Language.current.emptyMessage)
                continue
            }
            try client.send(line, connection)
            guard try showReply() else { return }
        }
        // The terminal's own prompt should not stand behind ours.
        if Standard.isTerminal(1) { try client.write([UInt8(ascii: "\n")]) }
        do throws(SocketError) {
            try connection.finishSending()
        } catch {
            throw Failure(error)
        }
        // Nothing that the peer still says is dropped.
        while try showReply() {}
    }

    /// Receives one reply and shows it; false when the peer has finished instead.
    private mutating func showReply() throws(Failure) -> Bool {
        guard let bytes = try client.receive(connection) else {
            if let rest = display.rest() { try show(rest) }
            return false
        }
        if let text = display.text(for: bytes) { try show(text) }
        return true
    }

    private func show(_ text: String) throws(Failure) {
        try client.write(Array((Language.current.reply + text + "\n").utf8))
    }
}
