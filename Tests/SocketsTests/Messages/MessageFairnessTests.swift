import Loops
import SocketCore
import Sockets
import TestSupport
import Testing

/// The floods are counted in messages, not in time: a busy machine makes all of them slower alike.
@Suite("B33: one peer floods a loop whose clients are served message by message", .inTurn, .timeLimit(.minutes(3)))
struct MessageFloodTests {
    private static let pingers = 100
    private static let rounds = 5
    /// A client has so many messages in a row, and then the loop looks at its sockets.
    private static let bound = 64

    @Test(arguments: Kind.allCases)
    func theOthersAreServedBeforeTheFloodHasHadManyMessages(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let (flooded, sentAt, joined) = (Counter(), Counter(), Counter())
            let late = Notes<Int>()
            let others = Lock<[Connection]>([])
            let serving = Task {
                try await listener.serveMessages(upTo: 1024, on: group) { client, message in
                    switch message[0] {
                    case 1: joined.add()
                    case 2: late.add(flooded.value - sentAt.value)
                    default:
                        let count = flooded.add()
                        guard count % 5000 == 0, count <= Self.rounds * 5000 else { return }
                        // All pings come at a known message of the flood, while the loop is busy with it.
                        sentAt.raise(to: count)
                        for other in others.withLock({ $0 }) { try other.rawSend([2]) }
                    }
                }
            }
            for _ in 0..<Self.pingers {
                let other = try await Connection(to: listener.endpoint)
                try await other.send([1])
                others.withLock { $0.append(other) }
            }
            try await eventually(.seconds(20), "everybody's coming") { joined.value == Self.pingers }
            let flood = try await Connection(to: listener.endpoint)
            let flooding = Task {
                try await onThread {
                    let piece = [UInt8](repeating: 7, count: 1 << 16)
                    while flooded.value < (Self.rounds + 1) * 5000 { try flood.send(piece) }
                }
            }
            try await flooding.value
            flood.close()
            try await eventually(.seconds(20), "the last ping") { late.all.count == Self.pingers * Self.rounds }
            let worst = late.all.max() ?? 0
            #expect(worst <= Self.bound, "a ping waited for \(worst) messages of the flood")
            for other in others.withLock({ $0 }) { other.close() }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// Several that never pause share the loop by turns.
    @Test(arguments: Kind.allCases)
    func floodsTakeTurns(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let counts = Lock<[UInt8: Int]>([:])
            let isOver = Counter()
            let serving = Task {
                try await listener.serveMessages(upTo: 64, on: group) { _, message in
                    counts.withLock { $0[message[0], default: 0] += 1 }
                }
            }
            let floods = try await (0..<4 as Range<UInt8>).asyncMap { number in
                let flood = try await Connection(to: listener.endpoint)
                return Task {
                    try await onThread {
                        let piece = [UInt8](repeating: number, count: 1 << 16)
                        while isOver.value == 0 { try flood.send(piece) }
                        flood.close()
                    }
                }
            }
            try await eventually(.seconds(30), "every flood's thousandth message") {
                counts.withLock { counts in counts.count == 4 && counts.values.allSatisfy { $0 >= 1000 } }
            }
            isOver.add()
            for flood in floods { try await flood.value }
            listener.close()
            try await serving.value
            group.close()
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<T>(_ transform: (Element) async throws -> T) async rethrows -> [T] {
        var all: [T] = []
        for element in self { all.append(try await transform(element)) }
        return all
    }
}
