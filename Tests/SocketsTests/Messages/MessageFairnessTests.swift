import Loops
import SocketCore
import Sockets
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

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

    /// Each has hundreds of messages there before the first is looked at.
    @Test(arguments: Kind.allCases)
    func clientsWithMuchToSayTakeTurns(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let (order, held, isFree) = (Notes<UInt8>(), Counter(), Counter())
            let serving = Task {
                try await listener.serveMessages(upTo: 64, on: group) { _, message in order.add(message[0]) }
            }
            var clients: [Connection] = []
            for number in 0..<4 as Range<UInt8> {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([number])
                clients.append(client)
            }
            try await eventually(.seconds(20), "everybody's coming") { order.all.count == 4 }
            _ = group.loops[0].execute {
                held.add()
                while isFree.value == 0 { usleep(500) }
            }
            try await eventually { held.value == 1 }
            for (number, client) in clients.enumerated() {
                let piece = [UInt8](repeating: UInt8(number), count: 32768)
                #expect(try client.rawSend(piece) == piece.count)
            }
            isFree.add()
            try await eventually(.seconds(20), "the last message") { order.all.count >= 4 + 4 * 512 }
            // The first rounds, in which all of them have more to say.
            let numbers = order.all.dropFirst(4).prefix(1000)
            let (longest, _) = numbers.indices.dropFirst().reduce(into: (1, 1)) { runs, index in
                runs.1 = numbers[index] == numbers[index - 1] ? runs.1 + 1 : 1
                runs.0 = max(runs.0, runs.1)
            }
            #expect(longest <= 32, "\(longest) messages in a row")
            for client in clients { client.close() }
            listener.close()
            try await serving.value
            group.close()
        }
    }
}
