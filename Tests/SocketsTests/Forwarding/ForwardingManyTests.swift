import Sockets
import TestSupport
import Testing

/// Many forwards at once, and what is left after them: nothing.
@Suite(.inTurn) struct ForwardingManyTests {
    /// Where a relay's two directions run.
    enum Directions: CaseIterable, Sendable { case children, group, offLoops }

    /// Clients of a relay to an echo: four forwards between two connections each, and the echo's own.
    @Test(arguments: Kind.allCases, Directions.allCases)
    func aRelayToAnEchoServesHundredsAtOnce(_ kind: Kind, _ directions: Directions) async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 2)
            let target = try Listener(on: kind.endpoint)
            let echoing = Task {
                try await target.serve(on: group) { client in
                    try await client.forward(to: client)
                    try client.finishSending()
                }
            }
            let front = try Listener(on: kind.endpoint)
            let counted = Counter()
            let relaying = Task {
                try await front.serve(on: group) { client in
                    let server = try await Connection(to: target.endpoint)
                    defer { server.close() }
                    let both = try await relay(client, server, directions)
                    #expect(both.0 == both.1)
                    counted.add(Int(both.0))
                }
            }
            let total = Counter()
            try await withThrowingTaskGroup(of: Void.self) { clients in
                for number in 0..<200 {
                    clients.addTask {
                        let client = try await Connection(to: front.endpoint)
                        defer { client.close() }
                        total.add(try await converse(client, seed: UInt64(number)))
                    }
                }
                try await clients.waitForAll()
            }
            front.close()
            try await relaying.value
            target.close()
            try await echoing.value
            group.close()
            #expect(counted.value == total.value)
        }
    }

    /// Each client is served until it goes, however it goes.
    @Test(arguments: [Kind.tcp4, .unix])
    func clientsThatComeAndGoLeaveNothingOpen(_ kind: Kind) async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let bodies = Counter()
            let serving = Task {
                try await listener.serve(on: group, onError: { _, _ in }) { client in
                    defer { bodies.add() }
                    try await client.forward(to: client)
                }
            }
            for round in 0..<150 {
                let client = try await Connection(to: listener.endpoint)
                for _ in 0..<(round % 9) {
                    try await client.send([1])
                    #expect(try await client.receive(upTo: 9) == [1])
                }
                if round % 3 == 0 { try client.rawSend([1]) }
                if kind != .unix, round % 2 == 0 { try client.reset() } else { client.close() }
            }
            try await eventually(patience, "each client's end") { bodies.value == 150 }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// Nothing holds a connection once its forward has ended: let go, it closes.
    @Test(arguments: Place.allCases.filter { [.loop, .off].contains($0) }, Leaving.allCases)
    func aConnectionThatIsLetGoIsFreed(_ place: Place, _ leaving: Leaving) async throws {
        try await trial { ledger in
            try await EventLoopGroup.run(loops: 1) { group in
                nonisolated(unsafe) weak var source: Connection?
                nonisolated(unsafe) weak var destination: Connection?
                do {
                    let (one, sender) = try Connection.pair()
                    let (other, reader) = try Connection.pair()
                    (source, destination) = (one, other)
                    let preference = place == .loop ? group.loops[0] : nil
                    let forward = Task(executorPreference: preference) { try await one.forward(to: other) }
                    for byte in 0..<10 as Range<UInt8> {
                        try await sender.send([byte])
                        #expect(try await reader.receive(upTo: 9) == [byte])
                    }
                    switch leaving {
                    case .end: try sender.finishSending()
                    case .timeout: one.receiveDeadline = .now
                    case .cancellation: forward.cancel()
                    case .close: one.close()
                    case .refusedSend:
                        try other.finishSending()
                        try await sender.send([1])
                    }
                    _ = await forward.result
                }
                try await eventually(patience, "letting go of both") { source == nil && destination == nil }
            }
        }
    }

    enum Leaving: CaseIterable, Sendable { case end, timeout, cancellation, close, refusedSend }

    /// Both directions between two connections, each with its end passed on; gives what each counted.
    private func relay(
        _ client: Connection, _ server: Connection, _ directions: Directions
    ) async throws -> (UInt64, UInt64) {
        @Sendable func pass(_ from: Connection, _ to: Connection) async throws -> UInt64 {
            let count = try await from.forward(to: to)
            try to.finishSending()
            return count
        }
        switch directions {
        case .children:
            async let there = pass(client, server)
            async let back = pass(server, client)
            return try await (there, back)
        case .group:
            return try await withThrowingTaskGroup(of: (Bool, UInt64).self) { group in
                group.addTask { (true, try await pass(client, server)) }
                group.addTask { (false, try await pass(server, client)) }
                var (there, back): (UInt64, UInt64) = (0, 0)
                for try await (isThere, count) in group { if isThere { there = count } else { back = count } }
                return (there, back)
            }
        case .offLoops:
            let there = Task.detached { try await pass(client, server) }
            let back = Task.detached { try await pass(server, client) }
            return try await (there.value, back.value)
        }
    }

    /// Sends pieces of random sizes, some of them one by one and some at once, and gets them back; gives the number of bytes.
    private func converse(_ client: Connection, seed: UInt64) async throws -> Int {
        var generator = SeededGenerator(seed: seed)
        var total = 0
        for number in 0..<Int.random(in: 1...12, using: &generator) {
            let message = pattern(Int.random(in: 1...3_000, using: &generator), seed: seed &+ UInt64(number))
            try await client.send(message)
            #expect(try await client.receive(exactly: message.count) == message)
            total += message.count
        }
        let much = pattern(Int.random(in: 1...150_000, using: &generator), seed: seed)
        async let sent: Void = {
            try await client.send(much)
            try client.finishSending()
        }()
        #expect(try await client.receiveAll() == much)
        try await sent
        return total + much.count
    }
}
