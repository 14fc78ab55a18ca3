internal import SocketCore
internal import Sockets

/// The endpoints that are being served: listeners for streams, and sockets for datagrams.
struct Opened: Sendable {
    var listeners: [(Listener, Serve.Settings)] = []
    var sockets: [(DatagramSocket, Serve.Settings)] = []

    var count: Int { listeners.count + sockets.count }

    /// Opens one more; gives the address that it got.
    mutating func add(_ settings: Serve.Settings, _ trace: Trace?) throws(SocketError) -> SocketAddress {
        if settings.endpoint.transport.carriesDatagrams {
            let socket = try DatagramSocket(on: settings.endpoint, trace: trace)
            sockets.append((socket, settings))
            return try socket.localAddress
        }
        let listener = try Listener(on: settings.endpoint, backlog: settings.backlog, trace: trace)
        // Nothing else would ever find that a client has vanished.
        if settings.idleTimeout == nil { try listener.setKeepAlive(after: .seconds(60)) }
        listeners.append((listener, settings))
        return listener.address
    }

    /// Lets nobody else in; who is being served is served to the end.
    func stop() {
        for (listener, _) in listeners { listener.close() }
        for (socket, _) in sockets { socket.stopReceiving() }
    }

    func close() {
        for (listener, _) in listeners { listener.close() }
        for (socket, _) in sockets { socket.close() }
    }
}
