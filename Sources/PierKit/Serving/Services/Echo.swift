internal import SocketCore

/// The echo service (RFC 862): everything back until the client has finished.
enum Echo: Service {
    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError) {
        while let message = try await client.receive(upTo: size) { try await client.send(message) }
    }

    /// The same line without `await`: the tutorial's own loop.
    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError) {
        while let message = try client.receive(upTo: size) { try client.send(message) }
    }

    /// The same bytes.
    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]? { datagram }
}
