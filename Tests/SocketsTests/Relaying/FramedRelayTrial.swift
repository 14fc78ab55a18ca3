import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A kind of stream on one side, a kind of datagrams on the other, and how they are framed.
struct FramedSides: Sendable, CustomTestStringConvertible {
    let stream: Kind
    let datagrams: DatagramKind
    let framing: Framing

    static let all = Framing.allCases.flatMap { framing in
        [(Kind.tcp4, DatagramKind.udp4), (.tcp6, .unixPath), (.unix, .udp6), (.unix, .unixAbstract)].map {
            FramedSides(stream: $0.0, datagrams: $0.1, framing: framing)
        }
    }

    static func all(_ framings: Framing...) -> [FramedSides] { all.filter { framings.contains($0.framing) } }

    var testDescription: String { "\(stream)-\(datagrams)-\(framing.rawValue)" }

    /// As it stands in the stream.
    func framed(_ datagram: [UInt8]) -> [UInt8] {
        switch framing {
        case .lines: datagram + [10]
        case .length: [UInt8(datagram.count >> 8), UInt8(datagram.count & 0xff)] + datagram
        case .none: datagram
        }
    }
}

/// Every client of a stream joined to a datagram socket of its own.
func relayingClients(
    _ sides: FramedSides, upTo size: Int = 65536, idleTimeout: Duration? = nil, linger: Duration = .seconds(600),
    _ body:
        @escaping @Sendable (
            _ listener: Listener, _ behind: DatagramSocket, _ begun: Notes<DatagramRelay>, _ ended: Counter
        ) async throws -> Void
) async throws {
    try await trial { _ in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let listener = try Listener(on: sides.stream.endpoint)
        let behind = try DatagramSocket(on: sides.datagrams.endpoint)
        let (begun, ended) = (Notes<DatagramRelay>(), Counter())
        let target = behind.endpoint
        let serving = Task {
            try await listener.serve(on: group) { client in
                let relay = DatagramRelay(
                    client, try await DatagramSocket(to: target), framing: sides.framing, upTo: size,
                    idleTimeout: idleTimeout, linger: linger)
                begun.add(relay)
                await relay.run()
                ended.add()
            }
        }
        defer {
            listener.close()
            behind.close()
        }
        try await during(serving) { try await body(listener, behind, begun, ended) }
    }
}

/// Every sender of datagrams joined to a stream of its own.
func relayingSenders(
    _ sides: FramedSides, idleTimeout: Duration = .seconds(600), linger: Duration = .seconds(600),
    _ body:
        @escaping @Sendable (
            _ front: DatagramSocket, _ listener: Listener, _ begun: Notes<DatagramRelay>, _ ended: Counter
        ) async throws -> Void
) async throws {
    try await trial { _ in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let listener = try Listener(on: sides.stream.endpoint)
        let front = try DatagramSocket(on: sides.datagrams.endpoint)
        let (begun, ended) = (Notes<DatagramRelay>(), Counter())
        let target = listener.endpoint
        let serving = Task {
            try await front.serve(on: group, idleTimeout: idleTimeout) { session in
                let relay = DatagramRelay(
                    session, try await Connection(to: target), framing: sides.framing, linger: linger)
                begun.add(relay)
                await relay.run()
                ended.add()
            }
        }
        defer {
            front.close()
            listener.close()
        }
        try await during(serving) { try await body(front, listener, begun, ended) }
    }
}

/// Runs `body`, and ends what serves it, whatever came of it.
private func during(_ serving: Task<Void, any Error>, _ body: () async throws -> Void) async throws {
    var failure: (any Error)?
    do { try await body() } catch { failure = error }
    serving.cancel()
    try await within(patience, "the end of serving") { _ = try? await serving.value }
    if let failure { throw failure }
}
