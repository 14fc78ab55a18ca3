import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 8 of the contract for a relay whose only client was there from the start: it ends as `connect` does.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayInterruptedTests {
    private func relaying(
        _ client: String, input: Stream = .pipe, _ body: (Program, Peer) async throws -> Void
    ) async throws {
        let host = try Host()
        try await running("relay", client, "127.0.0.1:\(host.port)", "--grace", "1h", input: input) { relay in
            try await body(relay, try await host.accept())
        }
    }

    @Test(arguments: ["-", "file:/dev/zero"], [SIGINT, SIGTERM])
    func anInterruptedTransferIsAResetAndTheEndByThatSignal(client: String, signal: CInt) async throws {
        try await relaying(client, input: .file("/dev/zero")) { relay, peer in
            #expect(try peer.receive(100_000).count == 100_000)
            let reading = Task.detached { Result { try peer.receive(.max) } }
            relay.send(signal)
            let status = try await relay.end()
            #expect(status == -signal, "\(relay.errors.text)")
            let ended = await reading.value
            #expect(throws: Errno.connectionReset) { try ended.get() }
            #expect(relay.errors.text.contains("ended by a signal: "), "\(relay.errors.text)")
        }
    }

    @Test func anInputThatHasNotEndedIsCutShort() async throws {
        try await relaying("-") { relay, peer in
            relay.write("some")
            #expect(try peer.receive(4) == Array("some".utf8))
            relay.send(SIGTERM)
            let status = try await relay.end()
            #expect(status == -SIGTERM)
            #expect(throws: Errno.connectionReset) { try peer.receiveText() }
        }
    }

    @Test func afterTheEndOfInputASignalEndsAtOnceAndThePeerSeesACleanEnd() async throws {
        try await relaying("-") { relay, peer in
            relay.write("all")
            relay.finishInput()
            #expect(try peer.receiveText() == "all")
            relay.send(SIGINT)
            let status = try await relay.end()
            #expect(status == -SIGINT)
            // No reset follows the end.
            #expect(try peer.receiveText() == "")
        }
    }

    @Test func atATerminalASignalIsACleanEndForThePeer() async throws {
        let terminal = try Terminal()
        try await relaying("-", input: .descriptor(terminal.program)) { relay, peer in
            terminal.type("hello\n")
            #expect(try peer.receive(6) == Array("hello\n".utf8))
            relay.send(SIGINT)
            let status = try await relay.end()
            #expect(status == -SIGINT)
            #expect(try peer.receiveText() == "")
        }
    }

    /// What a program says is cut, and its target must not take that for the whole.
    @Test func aProgramAsTheClientIsEndedAndItsTargetSeesAReset() async throws {
        try await relaying("exec:sh -c 'echo part; sleep 1000'") { relay, peer in
            #expect(try peer.receive(5) == Array("part\n".utf8))
            let programs = children(of: relay.pid)
            relay.send(SIGTERM)
            let status = try await relay.end()
            #expect(status == -SIGTERM)
            #expect(throws: Errno.connectionReset) { try peer.receiveText() }
            #expect(programs.allSatisfy { kill($0, 0) != 0 })
        }
    }

    @Test func beforeATargetAnswersASignalEndsItAtOnce() async throws {
        let port = try freePort()
        try await running("relay", "-", "127.0.0.1:\(port)", "--retry", "100", "--backoff", "50ms..100ms") {
            relay in
            try await relay.errors.line(with: "refused")
            relay.send(SIGTERM)
            let status = try await relay.end()
            #expect(status == -SIGTERM)
        }
    }
}
