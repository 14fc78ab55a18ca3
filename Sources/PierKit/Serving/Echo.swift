internal import Sockets

/// The echo service (RFC 862), in both faces: everything back until the client has finished.
enum Echo {
    // What these two hold while they wait is a client's memory: no more than they need.

    static func serve(_ connection: Connection, upTo size: Int) async throws(SocketError) {
        while let message = try await connection.receive(upTo: size) { try await connection.send(message) }
    }

    static func serve(_ connection: Connection, upTo size: Int, _ shown: Shown) async throws(SocketError) {
        while let message = try await connection.receive(upTo: size) {
            await shown.show(message)
            try await connection.send(message)
        }
    }

    /// The same lines without `await`: the tutorial's own loop.
    static func serveBlocking(
        _ connection: Connection, _ settings: Serve.Settings, _ output: Sink
    ) throws(SocketError) {
        let shown = Shown(connection, settings.show, output)
        while let message = try connection.receive(upTo: settings.receiveSize) {
            shown?.showBlocking(message)
            try connection.send(message)
        }
    }
}

/// How one client's messages are shown: with its address, and characters that were cut held until they are whole.
final class Shown {
    private let prefix: String
    private let output: Sink
    private var display: Display

    /// Nil where nothing is to be shown.
    init?(_ connection: Connection, _ show: Show, _ output: Sink) {
        guard show != .none else { return nil }
        prefix = connection.peerName + " " + Language.current.received
        self.output = output
        display = Display(show)
    }

    // Kept out of its callers, whose frames a silent client keeps.
    @inline(never)
    func show(_ message: [UInt8]) async {
        if let text = display.text(for: message) { await output.line(prefix + text) }
    }

    func showBlocking(_ message: [UInt8]) {
        if let text = display.text(for: message) { output.lineBlocking(prefix + text) }
    }

    /// A character that the client never finished is shown as the bytes it is. By then nobody waits for room any more.
    deinit {
        if let rest = display.rest() { output.lineOrDrop(prefix + rest) }
    }
}

extension Connection {
    /// What a person calls the peer: its address, or for an unnamed Unix client its process.
    var peerName: String {
        guard remoteAddress == .unnamed else { return "\(remoteAddress)" }
        return (try? peerCredentials).map { "unix(pid=\($0.process))" } ?? "unix"
    }
}
