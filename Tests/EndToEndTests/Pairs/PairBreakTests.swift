import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 2 and 3 of the contract, over every pair of streams that a relay joins: an end is passed on at once, and what is
/// no end is not taken for one.
@Suite("The contract's resets, over every pair", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct PairBreakTests {
    @Test(arguments: Pair.all)
    func theServersEndIsPassedOnAndTheOtherDirectionGoesOn(pair: Pair) async throws {
        try await joining(pair, said: Array("said late".utf8)) { joined in
            let client = try await joined.client()
            let server = try await joined.server()
            try server.send("greeting")
            server.finish()
            #expect(try client.receiveText() == pair.heard(of: "greeting"))
            try client.send("said late")
            client.finish()
            #expect(try server.receiveText() == "said late")
            server.close()
            client.close()
            try await joined.ends()
        }
    }

    /// A file said all of it at once, the others in two parts.
    @Test(arguments: Pair.resetting.filter { !$0.listens })
    func aTargetsResetIsNoEndToTheOneClient(pair: Pair) async throws {
        let (first, second) = ("a question of which", " a part is never read")
        try await joining(pair, said: Array((first + second).utf8)) { joined in
            let client = try await joined.client()
            try client.send(first + second)
            let server = try await joined.server()
            #expect(try server.receive(first.utf8.count) == first)
            try server.send(pair.heard(of: "half an ans"))
            #expect(try client.receive(pair.heard(of: "half an ans").utf8.count) == pair.heard(of: "half an ans"))
            try server.reset()
            #expect(try client.end() == pair.endAfterReset)
            client.close()
            #expect(try await joined.relay.end() == 1)
            let told = joined.complaints
            #expect(told.count == 1 && told.first?.contains("reset") == true, "\(told)")
            // How many bytes went each way.
            let numbers = told.first?.matches(of: /\d+(?= bytes| sent| received)/).compactMap { Int($0.output) } ?? []
            #expect(
                Set(numbers) == [(first + second).utf8.count, pair.heard(of: "half an ans").utf8.count], "\(told)")
        }
    }

    /// A program that is killed has not ended, or the half of its answer would look whole.
    @Test(arguments: Pair.running)
    func aProgramThatIsKilledIsNoEnd(pair: Pair) async throws {
        try await joining(pair, said: Array("question, unread".utf8)) { joined in
            let client = try await joined.client()
            try client.send("question, unread")
            let server = try await joined.server()
            #expect(try server.receive(8) == "question")
            try server.send("half an ans")
            #expect(try client.receive(pair.heard(of: "half an ans").utf8.count) == pair.heard(of: "half an ans"))
            try server.reset()
            if pair.listens {
                #expect(try client.end() == pair.endAfterReset)
                client.close()
                try await expectRoundTrip(joined)
                joined.relay.send(SIGTERM)
            }
            #expect(try await joined.relay.end() == (pair.listens ? 0 : 1))
            #expect(
                joined.complaints.contains { $0.contains("signal") || $0.contains("killed") }, "\(joined.complaints)")
        }
    }
}
