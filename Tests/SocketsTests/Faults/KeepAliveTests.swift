import Sockets
import TestSupport
import Testing

@Suite("B10: asking a silent peer whether it is still there", .inTurn)
struct KeepAliveTests {
    @Test(arguments: [
        (Duration.seconds(60), 60, 20), (.milliseconds(1), 1, 1), (.milliseconds(2500), 3, 1),
        (.seconds(1 << 40), 32767, 10922),
    ])
    func theKernelIsToldTheTimes(_ silence: Duration, _ idle: Int, _ interval: Int) async throws {
        try await trial(over: .tcp4) { (_, client, server, _) async throws in
            #expect(try !client.option(.keepAlive))
            try client.setKeepAlive(after: silence)
            #expect(try client.option(.keepAlive))
            #expect(try client.option(.keepAliveIdle) == idle)
            #expect(try client.option(.keepAliveInterval) == interval)
            #expect(try client.option(.keepAliveCount) == 3)
            try client.setKeepAlive(after: nil)
            #expect(try !client.option(.keepAlive))
            try client.setOption(.userTimeout, to: 5000)
            #expect(try client.option(.userTimeout) == 5000)
        }
    }

    @Test func aUnixPeerNeedsNoAsking() async throws {
        try await trial(over: .unix) { (_, client, server, _) async throws in
            try client.setKeepAlive(after: .seconds(1))
            #expect(try !client.option(.keepAlive))
        }
    }

    @Test(arguments: Kind.allCases)
    func aClosedConnectionSaysSo(_ kind: Kind) async throws {
        try await trial(over: kind) { (_, client, server, _) async throws in
            client.close()
            #expect(try await cause { try client.setKeepAlive(after: .seconds(1)) } == .closed)
        }
    }
}

@Suite(
    "B10: a peer that has vanished, told to whoever waits for it", .inTurn,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .timeLimit(.minutes(10)))
struct VanishedPeerTellingTests {
    /// Nothing is under way: only asking finds out.
    @Test(arguments: Face.allCases)
    func aReceiveFailsWithTheTimeoutOfTheKernel(_ face: Face) async throws {
        try await cutOff { client in
            try client.setKeepAlive(after: .seconds(1))
        } then: { client in
            let ended = try await cause { try await client.receive(upTo: 9, by: face) }
            #expect(ended == .system(.timedOut))
        }
    }

    /// What was sent is not acknowledged: the limit on that ends it, and both directions say why.
    @Test(arguments: Face.allCases)
    func aTimeLimitOnAcknowledgementsEndsBothDirections(_ face: Face) async throws {
        try await cutOff { client in
            try client.setOption(.userTimeout, to: 500)
        } then: { client in
            async let received = cause { try await client.receive(upTo: 9, by: face) }
            let sent = try await cause {
                while true { try await client.send([UInt8](repeating: 7, count: 1 << 16), by: face) }
            }
            // One of them is told by the kernel, and the other of them learns it from there.
            let ended = try await received
            #expect(ended == .system(.timedOut))
            #expect(sent == .system(.timedOut) || sent == .system(.brokenPipe))
        }
    }

    /// A connection between two machines of which one disappears after `before`.
    private func cutOff(
        _ before: @escaping @Sendable (Connection) throws -> Void,
        then body: @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        try await within {
            try await inNetwork { network in
                let listener = try await network.server.onThread { try Listener(on: "10.77.0.2:0") }
                defer { listener.close() }
                let client = try await network.client.connect(to: "\(listener.address)", by: .thread)
                defer { client.close() }
                let peer = try await listener.accept()
                defer { peer.close() }
                try await peer.send([1])
                #expect(try await client.receive(upTo: 9) == [1])
                try before(client)
                try network.client.outgoing("drop")
                try network.server.outgoing("drop")
                try await body(client)
            }
        }
    }
}
