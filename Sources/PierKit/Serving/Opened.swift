internal import SocketCore
internal import Sockets

/// The endpoints that are being served: listeners for streams, sockets for datagrams, and clients that were there from the
/// start.
struct Opened: Sendable {
    var listeners: [(Listener, Serve.Settings)] = []
    var sockets: [(DatagramSocket, Serve.Settings)] = []
    var clients: [(OpenedStream, Serve.Settings)] = []

    var count: Int { listeners.count + sockets.count + clients.count }
    /// Whether anybody may still come.
    var isListening: Bool { !listeners.isEmpty || !sockets.isEmpty }

    /// Opens one more; gives where others come to it, with the addresses that it got.
    mutating func add(_ settings: Serve.Settings, _ trace: Trace?) throws(SocketError) -> [Endpoint] {
        let endpoint = settings.endpoint
        if settings.isDatagrams {
            let opened = try DatagramSocket.open(endpoint, trace: trace)
            sockets += opened.map { ($0, settings) }
            return opened.map(\.endpoint)
        }
        guard try Listener.isNamed(by: endpoint) else {
            let stream = try Connection.open(endpoint, file: settings.fileAccess, trace: trace).forGood(endpoint)
            // Nothing else would ever find that a peer has vanished.
            if settings.idleTimeout == nil { try? stream.connection.setKeepAlive(after: .seconds(60)) }
            clients.append((stream, settings))
            return []
        }
        let opened = try Listener.open(endpoint, backlog: settings.backlog, trace: trace)
        listeners += opened.map { ($0, settings) }
        if settings.idleTimeout == nil {
            for listener in opened { try listener.setKeepAlive(after: .seconds(60)) }
        }
        return opened.map(\.endpoint)
    }

    /// Lets nobody else in; who is being served is served to the end.
    func stop() {
        for (listener, _) in listeners { listener.close() }
        for (socket, _) in sockets { socket.stopReceiving() }
    }

    /// Blocks the thread until a program has ended.
    func close() {
        for (listener, _) in listeners { listener.close() }
        for (socket, _) in sockets { socket.close() }
        for (stream, _) in clients { _ = try? stream.finish(within: .zero) }
    }
}
