import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What `pier relay` ends before its time: nobody may take that for an end.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct CutShortTests {
    /// Joins a client to a program that has said a part and says no more, and ends the relay by what `cut` does.
    private func cut(
        _ arguments: String..., program: String = "exec:sh -c 'cat; sleep 1000'", _ cut: (Program) -> Void
    ) async throws -> (Program, status: CInt) {
        try await starting([Place.pier, "relay", "127.0.0.1:0", program] + arguments, input: .file("/dev/null")) {
            relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            #expect(try client.echo("part") == "part")
            cut(relay)
            #expect(throws: Errno.connectionReset) { try client.receiveText() }
            if arguments.contains("--idle-timeout") { relay.send(SIGTERM) }
            return (relay, try await relay.end())
        }
    }

    @Test func theEndOfTheGraceIsAResetAndItsBytesAreInTheTotals() async throws {
        for program in ["exec:sh -c 'cat; sleep 1000'", "exec:cat"] {
            let (relay, status) = try await cut("--grace", "100ms", "-v", program: program) { $0.send(SIGTERM) }
            #expect(status == -SIGTERM)
            let told = relay.errors.lines
            #expect(
                told.last?.hasPrefix("totals: 1 clients, 4 bytes received in 1 messages, 4 sent, 0 errors") == true,
                "\(told)")
            #expect(!told.contains { $0.contains(" closed") }, "\(told)")
        }
    }

    @Test func theIdleTimeIsAResetToo() async throws {
        let (_, status) = try await cut("--idle-timeout", "200ms") { _ in }
        #expect(status == 0)
    }

    /// A program has a group of its own, so a terminal's hang-up reaches it only so.
    @Test func aHangUpEndsProgramsAndRemovesThePath() async throws {
        let path = temporaryPath("sock")
        try await running("relay", path, "exec:sleep 1000", "--grace", "50ms") { relay in
            try await relay.errors.line(with: "listening unix://\(path)")
            let client = try Peer(path: path)
            try await eventually(patience, "the program") { [pid = relay.pid] in !children(of: pid).isEmpty }
            let program = try #require(children(of: relay.pid).first)
            relay.send(SIGHUP)
            #expect(try await relay.end() == -SIGHUP)
            #expect(kill(program, 0) != 0 && access(path, F_OK) != 0)
            client.finish()
        }
    }

    @Test func whoWasStartedToOutliveItsTerminalGoesOn() async throws {
        try await running("serve", "echo", "127.0.0.1:0", "--show", "none", launcher: ["nohup"]) { server in
            let port = try await listeningPort(of: server)
            server.send(SIGHUP)
            for _ in 0..<3 { #expect(try Peer(port: port).echo("x") == "x") }
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    /// Nobody is there any more whom the next try could be for.
    @Test(arguments: ["127.0.0.1:0", "udp://127.0.0.1:0"])
    func aClientThatHasGoneIsNotTriedFor(listen: String) async throws {
        let words = [
            "--retry", "forever", "--backoff", "1h..1h", "--grace", "1h", "--linger", "50ms", "--frame", "lines",
        ]
        let isStream = listen.hasPrefix("127")
        let target = "127.0.0.1:\(try freePort())"
        try await starting([Place.pier, "relay", listen, target] + words.dropLast(isStream ? 2 : 0)) { relay in
            let line = try await relay.errors.line(with: "listening")
            let port = try #require(UInt16(line.split(separator: ":").last ?? ""))
            let client = isStream ? try Peer(port: port) : nil
            let sender = isStream ? nil : try DatagramPeer(port: port)
            try sender?.send("question")
            try await relay.errors.line(with: "connection refused")
            client?.resetAtClose()
            try client?.resetNow()
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0, "\(relay.errors.text)")
        }
    }
}
