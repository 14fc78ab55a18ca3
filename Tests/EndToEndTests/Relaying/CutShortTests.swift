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

    /// What waits for the end of its input to act on it must not act on a part.
    @Test(arguments: ["reset", "idle", "grace", "second"])
    func aProgramIsEndedBeforeItsInputIs(how: String) async throws {
        let (part, whole) = (temporaryPath("part"), temporaryPath("whole"))
        defer {
            unlink(part)
            unlink(whole)
        }
        let program = "exec:sh -c 'echo ready; cat > \(part); mv \(part) \(whole)'"
        let limits = ["--grace", how == "grace" ? "50ms" : "1h"] + (how == "idle" ? ["--idle-timeout", "200ms"] : [])
        try await starting(
            [Place.pier, "relay", "127.0.0.1:0", program, "-v"] + limits, input: .file("/dev/null")
        ) { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try client.send("part")
            #expect(try client.receive(6) == Array("ready\n".utf8))
            try await eventually(patience, "the part") { contents(of: part) == "part" }
            switch how {
            case "reset": try client.resetNow()
            case "grace": relay.send(SIGTERM)
            case "second":
                relay.send(SIGTERM)
                relay.send(SIGINT)
            default: break
            }
            if how == "reset" || how == "idle" {
                try await relay.errors.line(with: "ended by signal 15")
            } else {
                _ = try await relay.end()
            }
            #expect(access(whole, F_OK) != 0)
        }
    }

    /// The end of a client's own words is passed on, and is no cut.
    @Test func aProgramFindsTheEndOfItsInputWhenItsClientHasFinished() async throws {
        let whole = temporaryPath("whole")
        defer { unlink(whole) }
        try await running("relay", "127.0.0.1:0", "exec:sh -c 'cat > \(whole); echo done'") { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try client.send("all")
            client.finish()
            #expect(try client.receiveText() == "done\n")
            #expect(contents(of: whole) == "all")
        }
    }

    /// A program that is the client gets SIGTERM too when its target refuses or resets.
    @Test(arguments: [true, false]) func aProgramWhoseTargetFailsIsEnded(refuses: Bool) async throws {
        let whole = temporaryPath("whole")
        defer { unlink(whole) }
        let host = try Host()
        let target = refuses ? "127.0.0.1:\(try freePort())" : "127.0.0.1:\(host.port)"
        try await running("relay", "exec:sh -c 'echo hi; cat > /dev/null; touch \(whole)'", target) { relay in
            if !refuses {
                let peer = try await host.accept()
                #expect(try peer.receive(3) == Array("hi\n".utf8))
                try peer.resetNow()
            }
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains(refuses ? "refused" : "reset by peer"), "\(relay.errors.text)")
            #expect(access(whole, F_OK) != 0)
        }
    }

    /// Input that cannot be read, and output that cannot be written, of one client.
    @Test(arguments: ["-", "file:/proc/self/mem"]) func anInputThatCannotBeReadIsAReset(input: String) async throws {
        let host = try Host()
        try await running("relay", input, "127.0.0.1:\(host.port)", input: .file("/tmp")) { relay in
            let peer = try await host.accept()
            #expect(throws: Errno.connectionReset) { try peer.receiveText() }
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains("read "), "\(relay.errors.text)")
        }
    }

    @Test(arguments: [true, false]) func anOutputThatIsFullIsAReset(isEnded: Bool) async throws {
        let (host, full) = (try Host(), try valid(open("/dev/full", O_WRONLY | O_CLOEXEC)))
        defer { close(full) }
        try await running(
            "relay", "-", "127.0.0.1:\(host.port)", input: isEnded ? .file("/dev/null") : .pipe,
            output: .descriptor(full)
        ) { relay in
            let peer = try await host.accept()
            // The input's end is passed on, and what follows must not wait for further words of the peer.
            if isEnded { #expect(try peer.receiveText() == "") }
            try peer.send("words")
            if !isEnded { #expect(throws: Errno.connectionReset) { try peer.receiveText() } }
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains("standard output: no space left"), "\(relay.errors.text)")
            if isEnded { #expect(throws: Errno.brokenPipe) { while true { try peer.send("more") } } }
        }
    }

    /// Where streams meet datagrams too.
    @Test(arguments: ["idle", "wrong", "half", "grace"])
    func aStreamThatMeetsDatagramsIsReset(how: String) async throws {
        let (peer, endpoint) = try datagramTarget("udp")
        let frame = how == "half" ? "length" : "lines"
        let limits = how == "idle" ? ["--idle-timeout", "200ms"] : ["--grace", "100ms"]
        try await starting(
            [Place.pier, "relay", "127.0.0.1:0", endpoint, "--frame", frame, "--linger", "50ms"] + limits,
            input: .file("/dev/null")
        ) { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try client.send(how == "half" ? "\0\u{1}x" : "x\n")
            #expect(try peer.receiveFirst() == Array("x".utf8))
            try peer.send("answer")
            _ = try client.receive(how == "half" ? 8 : 7)
            switch how {
            case "wrong": try client.send(String(repeating: "x", count: 65_600))
            case "half":
                try client.send("\0\u{3}x")
                client.finish()
            case "grace": relay.send(SIGTERM)
            default: break
            }
            #expect(throws: Errno.connectionReset) { try client.receiveText() }
        }
    }

    /// A sender's session has no end but silence, which is passed on as an end; a second signal is none.
    @Test func theStreamOfASenderIsResetByASecondSignal() async throws {
        let host = try Host()
        try await relaying(
            "udp://127.0.0.1:0", "127.0.0.1:\(host.port)", "--frame", "lines", "--linger", "1h", "--grace", "1h"
        ) { relay in
            try relay.sender().send("x")
            let target = try await host.accept()
            #expect(try target.receive(2) == Array("x\n".utf8))
            relay.program.send(SIGTERM)
            relay.program.send(SIGINT)
            #expect(throws: Errno.connectionReset) { try target.receiveText() }
        }
    }

    /// A Unix socket has no reset: the status, a line and the event tell.
    @Test func overAUnixSocketTheCutIsToldByStatusAndEvent() async throws {
        let path = temporaryPath("sock")
        try await running(
            "relay", path, "exec:sleep 1000", "--idle-timeout", "100ms", "--events", "json", input: .file("/dev/null")
        ) { relay in
            try await relay.errors.line(with: "listening")
            let client = try Peer(path: path)
            #expect(try client.receiveText() == "")
            try await relay.errors.line(with: "\"cause\":\"timed-out\"")
        }
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
