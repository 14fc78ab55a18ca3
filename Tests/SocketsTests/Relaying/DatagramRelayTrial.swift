import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A kind of datagram socket on each side of a relay.
struct DatagramSides: Sendable, CustomTestStringConvertible {
    let front: DatagramKind
    let behind: DatagramKind

    static let all = [
        DatagramSides(.udp4, .udp4), DatagramSides(.udp6, .udp4), DatagramSides(.udp4, .unixPath),
        DatagramSides(.unixPath, .udp4), DatagramSides(.unixPath, .unixAbstract),
    ]

    init(_ front: DatagramKind, _ behind: DatagramKind) {
        self.front = front
        self.behind = behind
    }

    var testDescription: String { "\(front)-\(behind)" }
}

/// A relay for every sender of a socket, and the peer behind it, which tells its senders apart by themselves.
final class DatagramRelayed: Sendable {
    let front: DatagramSocket
    let behind: DatagramSocket
    /// The relays in the order in which they began, and those that have ended.
    let begun = Notes<DatagramRelay>()
    let ended = Notes<DatagramRelay>()
    let losses = Notes<SocketError>()
    private let serving = Lock<Task<Void, any Error>?>(nil)

    init(
        _ sides: DatagramSides, on group: EventLoopGroup, limit: Int, idleTimeout: Duration?
    ) throws {
        front = try DatagramSocket(on: sides.front.endpoint)
        behind = try DatagramSocket(on: sides.behind.endpoint)
        let target = behind.endpoint
        // Not this object itself, which a relay would then keep, and the relay it.
        let task = Task { [front, begun, ended, losses] in
            try await front.serve(on: group, limit: limit, idleTimeout: idleTimeout) { session in
                let socket = try await DatagramSocket(to: target)
                let relay = DatagramRelay(session, socket) { losses.add($0) }
                begun.add(relay)
                await relay.run()
                ended.add(relay)
            }
        }
        serving.withLock { $0 = task }
    }

    func client() async throws -> DatagramSocket { try await DatagramSocket(to: front.endpoint) }

    /// Has what comes behind the relay answered by `answer`, until the test ends.
    func answering(_ answer: @escaping @Sendable (Datagram) -> [UInt8]) -> Task<Void, Never> {
        Task {
            while let datagram = try? await behind.receive() {
                try? await behind.send(answer(datagram), to: datagram.sender)
            }
        }
    }

    /// Waits until it has ended.
    func end() async throws {
        let task = serving.withLock { $0 }
        try await within(patience, "the relay's end") { try await task?.value }
    }

    func cancel() { serving.withLock { $0?.cancel() } }

    fileprivate func close() async throws {
        defer {
            front.close()
            behind.close()
        }
        front.stopReceiving()
        do {
            try await end()
        } catch let error as SocketError where error.cause == .cancelled {
        } catch is CancellationError {}
    }
}

/// A trial with a relay of datagrams, which lives until the body has ended.
func relayingDatagrams(
    _ sides: DatagramSides, limit: Int = 10_000, idleTimeout: Duration? = .seconds(600),
    _ body: @escaping @Sendable (Ledger, DatagramRelayed) async throws -> Void
) async throws {
    try await trial { ledger in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let relayed = try DatagramRelayed(sides, on: group, limit: limit, idleTimeout: idleTimeout)
        do {
            try await body(ledger, relayed)
        } catch {
            try? await relayed.close()
            throw error
        }
        try await relayed.close()
    }
}
