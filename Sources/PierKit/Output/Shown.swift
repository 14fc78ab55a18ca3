/// How one client's messages are shown: with its address, and characters that were cut held until they are whole.
final class Shown: Sendable {
    private let prefix: String
    private let output: Sink
    /// Safety: belongs to who receives, one at a time.
    nonisolated(unsafe) private var display: Display

    /// Nil where nothing is to be shown.
    init?(_ name: String, _ show: Show, _ output: Sink) {
        guard show != .none else { return nil }
        prefix = name + " " + Language.current.received
        self.output = output
        display = Display(show)
    }

    // Kept out of its callers, whose frames a silent client keeps.
    @inline(never)
    func show(_ message: [UInt8]) async {
        if let text = display.text(for: message) { await output.line(prefix + text) }
    }

    /// Shows a datagram: it is whole, and may be empty.
    @inline(never)
    func show(whole datagram: [UInt8]) async {
        await output.line(prefix + display.text(forWhole: datagram))
    }

    func showBlocking(whole datagram: [UInt8]) {
        output.lineBlocking(prefix + display.text(forWhole: datagram))
    }

    func showBlocking(_ message: [UInt8]) {
        if let text = display.text(for: message) { output.lineBlocking(prefix + text) }
    }

    /// A character that the client never finished is shown as the bytes it is. By then nobody waits for room any more.
    deinit {
        if let rest = display.rest() { output.lineOrDrop(prefix + rest) }
    }
}
