import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 1, 2, 4 and 7 of the contract, and of line 3 what others notice, over every pair of streams that a relay joins.
@Suite("The contract's ends, over every pair", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct PairEndingTests {
    @Test(arguments: Pair.all)
    func anAnswerThatWaitsForTheEndOfTheQuestionComesWhole(pair: Pair) async throws {
        try await joining(pair, said: Array("question".utf8)) { joined in
            let client = try await joined.client()
            try client.send("question")
            client.finish()
            let server = try await joined.server()
            #expect(try server.receiveText() == "question")
            try server.send("answer")
            server.close()
            #expect(try client.receiveText() == pair.heard(of: "answer"))
            client.close()
            try await joined.ends()
        }
    }

    @Test(arguments: Pair.all)
    func bytesOfEveryValueCrossBothWaysAtOnce(pair: Pair) async throws {
        let every = (0..<1000).flatMap { _ in (0...255).map { UInt8($0) } }
        let (said, answered) = (every + randomBytes(100_001), randomBytes(60_000) + every)
        try await joining(pair, said: said) { joined in
            let client = try await joined.client()
            async let isSaid: Void = sendAll(said, by: client)
            let server = try await joined.server()
            async let isAnswered: Void = sendAll(answered, by: server)
            async let atServer = server.receiveAll()
            #expect(try client.receiveAll() == (pair.front == .file ? [] : answered))
            #expect(try await atServer == said)
            try await isSaid
            try await isAnswered
            server.close()
            client.close()
            try await joined.ends()
        }
    }

    @Test(arguments: Pair.resetting.filter(\.listens))
    func aTargetsResetIsOneClientsAndTheNextIsServed(pair: Pair) async throws {
        try await joining(pair) { joined in
            let client = try await joined.client()
            try client.send("question")
            let server = try await joined.server()
            #expect(try server.receive(8) == "question")
            try server.send("half an ans")
            #expect(try client.receive(11) == "half an ans")
            try client.send("unread")
            try server.reset()
            #expect(try client.end() == pair.endAfterReset)
            client.close()
            try await expectRoundTrip(joined)
            joined.relay.send(SIGTERM)
            #expect(try await joined.relay.end() == 0, "\(joined.relay.errors.text)")
        }
    }

    @Test(arguments: Pair.listening)
    func whoFindsNoTargetIsToldAndTheNextIsServed(pair: Pair) async throws {
        try await joining(pair, isOpen: false) { joined in
            let client = try await joined.client()
            #expect(try client.end() == pair.endAfterReset)
            try await eventually(patience, "a word of it") { joined.complaints.count == 1 }
            try joined.behind.open()
            try await expectRoundTrip(joined)
            joined.relay.send(SIGTERM)
            #expect(try await joined.relay.end() == 0, "\(joined.relay.errors.text)")
        }
    }

    @Test(arguments: Pair.joiningOne)
    func theOneClientThatFindsNoTargetIsAFailure(pair: Pair) async throws {
        try await joining(pair, said: Array("question".utf8), isOpen: false) { joined in
            // A program is ended at once, mostly before it has begun to speak.
            if pair.front != .exec {
                let client = try await joined.client()
                _ = try client.end()
                client.close()
            }
            #expect(try await joined.relay.end() == 1)
            let told = joined.complaints
            #expect(told.count == 1 && told.first?.hasPrefix("pier: ") == true, "\(told)")
        }
    }

    @Test(arguments: Pair.listening)
    func whoDoesNotReadDelaysNoOther(pair: Pair) async throws {
        let much = randomBytes(8_000_000)
        try await joining(pair) { joined in
            let slow = try await joined.client()
            try slow.send("all of it")
            let server = try await joined.server()
            #expect(try server.receive(9) == "all of it")
            async let isSent: Void = sendAll(much, by: server)
            try await expectRoundTrip(joined)
            slow.finish()
            #expect(try slow.receiveAll() == much)
            try await isSent
            server.close()
            try await joined.ends()
        }
    }

    private func sendAll(_ bytes: [UInt8], by side: Side) throws {
        try side.send(bytes)
        side.finish()
    }
}

/// A new client is served as if nothing had happened.
func expectRoundTrip(_ joined: Joined, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let client = try await joined.client()
    try client.send("next")
    client.finish()
    let server = try await joined.server()
    #expect(try server.receiveText() == "next", sourceLocation: sourceLocation)
    try server.send("welcome")
    server.close()
    #expect(try client.receiveText() == "welcome", sourceLocation: sourceLocation)
}
