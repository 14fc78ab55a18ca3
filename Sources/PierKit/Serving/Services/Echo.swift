internal import SocketCore
internal import Sockets

/// The echo service (RFC 862): everything back until the client has finished.
enum Echo: MessageService {
    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError) {
        while let message = try await client.receive(upTo: size) { try await client.send(message) }
    }

    /// The same for a client of whom nothing is told or shown.
    static func serve(_ client: Connection, upTo size: Int) async throws(SocketError) {
        try await client.forward(to: client, upTo: size)
    }

    /// The same for a client whose messages are only shown, which is what most are. Through a stream that shows them a
    /// silent client would need another frame, and with it a second slab of its task's memory: half as much again.
    static func serve(_ client: Connection, upTo size: Int, _ shown: Shown) async throws(SocketError) {
        while let message = try await client.receive(upTo: size) {
            await shown.show(message)
            try await client.send(message)
        }
    }

    /// The same line without `await`: the tutorial's own loop.
    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError) {
        while let message = try client.receive(upTo: size) { try client.send(message) }
    }

    static func answer(_ message: [UInt8], from client: some ClientStream) async throws(SocketError) {
        try await client.send(message)
    }

    /// The same bytes.
    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]? { datagram }
}
