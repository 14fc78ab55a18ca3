internal import Sockets

/// A client of the echo service (RFC 862), in both faces, and how its messages are shown.
struct EchoClient {
    private let connection: Connection
    private let size: Int
    private let output: Sink
    private let shows: Bool
    private var display: Display
    private let prefix: String

    init(_ connection: Connection, _ settings: Serve.Settings, _ output: Sink) {
        self.connection = connection
        self.output = output
        size = settings.receiveSize
        shows = settings.show != .none
        display = Display(settings.show)
        prefix = shows ? connection.peerName + " " + Language.current.received : ""
    }

    /// Sends everything back until the client has finished. For the task models.
    mutating func serve() async throws(SocketError) {
        guard shows else {
            while let message = try await connection.receive(upTo: size) { try await connection.send(message) }
            return
        }
        do throws(SocketError) {
            while let message = try await connection.receive(upTo: size) {
                if let text = display.text(for: message) { await output.line(prefix + text) }
                try await connection.send(message)
            }
        } catch {
            if let rest = display.rest() { await output.line(prefix + rest) }
            throw error
        }
        if let rest = display.rest() { await output.line(prefix + rest) }
    }

    /// The same lines without `await`: the tutorial's own loop.
    mutating func serveBlocking() throws(SocketError) {
        defer { if let rest = display.rest() { output.lineBlocking(prefix + rest) } }
        while let message = try connection.receive(upTo: size) {
            if let text = display.text(for: message) { output.lineBlocking(prefix + text) }
            try connection.send(message)
        }
    }
}

extension Connection {
    /// What a person calls the peer: its address, or for an unnamed Unix client its process.
    var peerName: String {
        guard remoteAddress == .unnamed else { return "\(remoteAddress)" }
        return (try? peerCredentials).map { "unix(pid=\($0.process))" } ?? "unix"
    }
}
