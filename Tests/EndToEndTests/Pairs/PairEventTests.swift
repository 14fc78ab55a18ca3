import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 6 of the contract, over every pair of streams that a relay joins.
@Suite(
    "The contract's events, over every pair", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Place.has("python3"), "python3 is not installed"))
struct PairEventTests {
    @Test(arguments: Pair.all)
    func theEventsTellWhatReallyMoved(pair: Pair) async throws {
        let (question, answer) = ("a question", pair.heard(of: "its answer, which is longer"))
        try await joining(pair, "--events", "json", said: Array(question.utf8)) { joined in
            let client = try await joined.client()
            try client.send(question)
            client.finish()
            let server = try await joined.server()
            #expect(try server.receiveText() == question)
            try server.send(answer)
            server.close()
            #expect(try client.receiveText() == answer)
            client.close()
            if pair.listens {
                try await joined.relay.errors.line(with: "\"closed\",\"connection\":1,")
                joined.relay.send(SIGTERM)
            }
            #expect(try await joined.relay.end() == 0)
            let events = try await Events.checked(joined.relay.errors.bytes)
            let (said, told) = (question.utf8.count, answer.utf8.count)
            #expect(events.count { $0.hasPrefix("listening ") } == (pair.listens ? 1 : 0), "\(events)")
            #expect(
                events.count { $0.hasPrefix("accepted connection=1 ") || $0.hasPrefix("connected connection=1 ") } == 1,
                "\(events)")
            #expect(
                events.count { $0.hasPrefix("connected connection=2 ") && $0.contains(" client=1") } == 1, "\(events)")
            for (number, received, sent) in [(1, said, told), (2, told, said)] {
                let own = events.filter { $0.contains(" connection=\(number) ") }
                #expect(own.contains { $0.hasPrefix("finished ") && $0.hasSuffix("by=peer") }, "\(own)")
                #expect(own.last?.hasPrefix("closed ") == true, "\(own)")
                #expect(own.last?.contains(" received=\(received) sent=\(sent) ") == true, "\(own)")
            }
            #expect(events.last?.hasPrefix("totals clients=1 received=\(said) sent=\(told) ") == true, "\(events)")
            #expect(events.last?.hasSuffix(" errors=0") == true, "\(events)")
        }
    }

    @Test(arguments: Pair.resetting)
    func aResetIsAnEventWithTheCounts(pair: Pair) async throws {
        try await joining(pair, "--events", "json", said: Array("question".utf8)) { joined in
            let client = try await joined.client()
            try client.send("question")
            let server = try await joined.server()
            #expect(try server.receive(4) == "ques")
            try server.reset()
            _ = try client.end()
            client.close()
            if pair.listens {
                try await joined.relay.errors.line(with: "\"closed\",\"connection\":1,")
                joined.relay.send(SIGTERM)
            }
            #expect(try await joined.relay.end() == (pair.listens ? 0 : 1))
            let events = try await Events.checked(joined.relay.errors.bytes)
            let own = events.filter { $0.contains(" connection=2 ") }
            #expect(
                own.contains { $0.hasPrefix("reset connection=2 ") && $0.hasSuffix(" received=0 sent=8") }, "\(own)")
            #expect(own.last?.hasPrefix("closed ") == true, "\(own)")
            #expect(own.last?.contains(" received=0 sent=8 ") == true, "\(own)")
            #expect(events.last?.hasPrefix("totals clients=1 ") == true, "\(events)")
            #expect(events.last?.hasSuffix(" errors=0") == false, "\(events)")
        }
    }
}
