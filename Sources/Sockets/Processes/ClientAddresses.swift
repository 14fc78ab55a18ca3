internal import SocketCore

/// The two ends of a client, as endpoints: what a program is told about the client that it runs for.
package struct ClientAddresses: Sendable {
    /// Nil for a Unix peer: it chooses its own name.
    private let peer: Endpoint?
    /// Nil where it is not known.
    private let local: Endpoint?

    /// Those of a connection.
    package init(of client: Connection) {
        peer = client.remoteAddress.port == nil ? nil : try? Endpoint(client.remoteAddress)
        let address = try? client.localAddress
        local = address.flatMap { try? Endpoint($0) }
    }

    /// Those of a sender of datagrams, and of the socket that it sends to.
    package init(of session: DatagramSession) {
        let transport = session.socket.transport
        let sender = session.remoteAddress
        peer = sender.port == nil ? nil : try? Endpoint(transport, .address(sender))
        local = session.socket.endpoint
    }

    /// As `NAME=VALUE`, for the program's environment.
    var settings: [String] {
        var settings: [String] = []
        if let peer { settings.append("PIER_PEER_ADDRESS=\(peer)") }
        if let local { settings.append("PIER_LOCAL_ADDRESS=\(local)") }
        return settings
    }
}
