import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 8 of the contract, and the exit codes of line 4, over every pair of streams that a relay joins.
@Suite("The contract's signals, over every pair", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct PairSignalTests {
    /// More than what the kernel keeps of a file between the two.
    private static let much = randomBytes(8_000_000)

    /// A client and a server that have begun, with more to say where it is a file.
    private func underWay(
        _ pair: Pair, grace: String,
        _ body: (Joined, _ client: Side, _ server: Side, _ said: [UInt8]) async throws -> Void
    ) async throws {
        let said = pair.front == .file ? Self.much : Array("before".utf8)
        try await joining(pair, "--grace", grace, said: said) { joined in
            let client = try await joined.client()
            try client.send(said)
            let server = try await joined.server()
            #expect(try server.receiveBytes(6) == Array(said.prefix(6)))
            try await body(joined, client, server, said)
        }
    }

    @Test(arguments: Pair.all.filter(\.listens), [SIGTERM, SIGINT])
    func whatIsUnderWayMayFinishAfterTheFirstSignal(pair: Pair, signal: CInt) async throws {
        try await underWay(pair, grace: "1h") { joined, client, server, said in
            joined.relay.send(signal)
            try await joined.hasHeard(signal)
            try server.send("after")
            let heard = pair.heard(of: "after")
            #expect(try client.receive(heard.utf8.count) == heard)
            client.finish()
            // A file's own input ends there; what was taken of it arrives.
            let rest = try server.receiveAll()
            #expect(said.dropFirst(6).starts(with: rest))
            #expect(pair.front == .file || rest.isEmpty)
            server.close()
            #expect(try client.receiveText() == "")
            client.close()
            #expect(try await joined.relay.end() == 0, "\(joined.relay.errors.text)")
        }
    }

    @Test(arguments: Pair.all.filter(\.listens), endingSignals)
    func theSecondSignalEndsAtOnce(pair: Pair, signal: CInt) async throws {
        try await underWay(pair, grace: "1h") { joined, _, _, _ in
            joined.relay.send(signal)
            try await joined.hasHeard(signal)
            #expect(joined.relay.ending == nil)
            joined.relay.send(signal)
            #expect(try await joined.relay.end() == -signal, "\(joined.relay.errors.text)")
        }
    }

    /// With one client that was there from the start, the command is no server: it ends by the signal, at the first one.
    @Test(arguments: Pair.all.filter { !$0.listens }, endingSignals)
    func theFirstSignalEndsARelayOfOneClient(pair: Pair, signal: CInt) async throws {
        try await underWay(pair, grace: "1h") { joined, _, server, _ in
            joined.relay.send(signal)
            // A file is cut in the middle, and a server that takes nothing would hold up what was read of it.
            if pair.front == .file { _ = try? server.receiveAll() }
            let code = try await joined.relay.end()
            #expect(code == -signal, "\(joined.relay.errors.text)")
        }
    }

    @Test(arguments: Pair.all)
    func aGraceThatRunsOutEndsIt(pair: Pair) async throws {
        try await underWay(pair, grace: "50ms") { joined, _, _, _ in
            joined.relay.send(SIGTERM)
            let code = try await joined.relay.end()
            #expect(code == -SIGTERM, "\(joined.relay.errors.text)")
        }
    }
}

/// The signals that end a command.
let endingSignals: [CInt] = [SIGTERM, SIGINT]
