internal import SocketCore

/// The discard service (RFC 863): everything is read, and nothing answered.
enum Discard: MessageService {
    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError) {
        while try await client.receive(upTo: size) != nil {}
    }

    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError) {
        while try client.receive(upTo: size) != nil {}
    }

    static func answer(_ message: [UInt8], from client: some ClientStream) async throws(SocketError) {}

    static var answersDatagrams: Bool { false }

    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]? { nil }
}
