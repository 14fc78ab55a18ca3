import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier relay` of what nobody connects to: it is one client itself, and the command ends with it.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayOneClientTests {
    /// No limit of time holds for input that comes late: what the peer has finished says nothing of it.
    @Test(arguments: ["- to tcp", "tcp to -", "- to exec"])
    func lateInputIsSentToItsEndAfterThePeersEnd(pair: String) async throws {
        let (host, received) = (try Host(), temporaryPath("received"))
        defer { unlink(received) }
        let script = temporaryPath("script")
        defer { unlink(script) }
        let program = """
            import socket, sys
            socket.socket(fileno=1).shutdown(socket.SHUT_WR)
            open(sys.argv[1], 'wb').write(open(0, 'rb', closefd=False).read())
            """
        try makeFile(script, Array(program.utf8))
        let target = "127.0.0.1:\(host.port)"
        let words =
            switch pair {
            case "- to tcp": ["-", target]
            case "tcp to -": ["127.0.0.1:0", "-"]
            // It closes its output, and goes on to read.
            default: ["-", "exec:python3 \(script) \(received)"]
            }
        try await starting([Place.pier, "relay"] + words + ["--linger", "1ms"]) { relay in
            relay.write("one\n")
            var peer: Peer?
            switch pair {
            case "- to tcp": peer = try await host.accept()
            case "tcp to -": peer = try Peer(port: try await listeningPort(of: relay))
            default: break
            }
            if let peer { #expect(try peer.receive(4) == Array("one\n".utf8)) }
            peer?.finish()
            // The end of standard output is the peer's, passed on.
            try await eventually(patience, "the end of standard output") { relay.output.isAtEnd }
            relay.write("two\n")
            relay.finishInput()
            if let peer { #expect(try peer.receiveText() == "two\n") }
            #expect(try await relay.end() == 0, "\(relay.errors.text)")
            if peer == nil { #expect(contents(of: received) == "one\ntwo\n") }
        }
    }

    /// A server that answers when the question has ended: a relay to a sorting program.
    private func sorting<R>(_ body: (UInt16) async throws -> R) async throws -> R {
        try await running("relay", "127.0.0.1:0", "exec:sort") { try await body(try await listeningPort(of: $0)) }
    }

    @Test func standardStreamsAreJoinedToATarget() async throws {
        try await sorting { port in
            let relay = try await pier("relay", "-", "127.0.0.1:\(port)", saying: "b\na\n")
            #expect(relay.output == "a\nb\n" && relay.status == 0 && relay.errors == "", "\(relay.errors)")
        }
        let relay = try await pier("relay", "-", "exec:sort", saying: "b\na\n")
        #expect(relay.output == "a\nb\n" && relay.status == 0 && relay.errors == "", "\(relay.errors)")
    }

    @Test func aProgramIsJoinedToATarget() async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        try await sorting { port in
            // Its output and its input are one socket, so it closes neither before it ends.
            let relay = try await pier("relay", "exec:python3 -c '\(Self.asker)' \(path)", "127.0.0.1:\(port)")
            #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
            #expect(contents(of: path) == "a\nb\n")
        }
    }

    /// Asks, ends its question, and writes the answer to a file.
    private static let asker = """
        import socket, sys; s = socket.socket(fileno=0); s.sendall(b"b\\na\\n"); s.shutdown(socket.SHUT_WR); \
        f = open(sys.argv[1], "wb"); [f.write(p) for p in iter(lambda: s.recv(9), b"")]
        """

    /// What comes back has nowhere to go, and holds up nothing.
    @Test func aFileIsSentToATargetAndAnswersAreDropped() async throws {
        let (path, copy) = (temporaryPath("in"), temporaryPath("out"))
        let bytes = randomBytes(8 << 20)
        try makeFile(path, bytes)
        defer {
            unlink(path)
            unlink(copy)
        }
        try await serving("--show", "none") { echo in
            for target in ["127.0.0.1:\(echo.port)", "exec:tee \(copy)"] {
                let relay = try await pier("relay", "file:\(path)", target)
                #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
            }
            #expect(EndToEndTests.bytes(of: copy) == bytes)
        }
    }

    @Test(arguments: ["fd:3", "systemd:web"])
    func aConnectedSocketIsServedAsBySuperServers(listen: String) async throws {
        let host = try Host()
        let launcher = Passing.sockets(Passing.connected(to: host.port), names: ["web"])
        try await running("relay", listen, "exec:sort", launcher: launcher) { relay in
            let client = try await host.accept()
            try client.send("b\na\n")
            client.finish()
            #expect(try client.receiveText() == "a\nb\n")
            #expect(try await relay.end() == 0)
            #expect(relay.errors.text == "")
        }
    }

    @Test func aDescriptorOfAFileIsSentToo() async throws {
        let path = temporaryPath("in")
        try makeFile(path, Array("b\na\n".utf8))
        defer { unlink(path) }
        let launcher = Passing.shell("3<\(path)")
        let relay = try await pier("relay", "fd:3", "exec:sort -o \(path).sorted", launcher: launcher)
        defer { unlink(path + ".sorted") }
        #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
        #expect(contents(of: path + ".sorted") == "a\nb\n")
    }

    @Test func manyTargetsAreTriedAndTheLastRefusalIsWhyItFails() async throws {
        let nobody = "127.0.0.1:\(try freePort())"
        let relay = try await pier("relay", "-", nobody, "exec:cat", saying: "hello")
        #expect(relay.output == "hello" && relay.status == 0)
        let refused = try await pier("relay", "-", nobody, saying: "hello")
        #expect(refused.status == 1)
        expectOneSentence(refused, "refused")
        let missing = try await pier("relay", "-", "exec:/nosuch", "--events", "json", saying: "hello")
        #expect(missing.status == 1)
        let events = try await Events.checked(Array(missing.errors.utf8))
        #expect(events.contains { $0.hasSuffix("operation=run cause=system errno=2 status=1") }, "\(events)")
    }

    @Test(arguments: [
        (["fd:99", "exec:cat"], 1, "fd:99: bad file descriptor"),
        (["127.0.0.1:0", "fd:99"], 1, "fd:99: bad file descriptor"),
        (["127.0.0.1:0", "exec:cat", "--also", "fd:3"], 1, "fd:3: bad file descriptor"),
        (["file:/nosuch/file", "exec:cat"], 1, "no such file"), (["file:/tmp", "exec:cat"], 1, "is a directory"),
        (["systemd:web", "exec:cat"], 2, "LISTEN_FDS"), (["127.0.0.1:0", "systemd:web"], 2, "LISTEN_FDS"),
        (["exec:/nosuch", "exec:cat"], 1, "run exec:/nosuch"),
    ])
    func whatCannotBeOpenedIsSaidAtOnce(words: [String], status: CInt, part: String) async throws {
        let relay = try await outcome(of: [Place.pier, "relay"] + words)
        #expect(relay.status == status)
        expectOneSentence(relay, part)
    }

    @Test func itsFailureIsTheCommands() async throws {
        let host = try Host()
        try await running("relay", "-", "127.0.0.1:\(host.port)") { relay in
            let peer = try await host.accept()
            try peer.send("x")
            try await relay.output.begins(with: "x")
            try peer.resetNow()
            relay.finishInput()
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains("connection reset"), "\(relay.errors.text)")
        }
        let silent = try await pier("relay", "-", "exec:sleep 1000", "--idle-timeout", "50ms", input: .unread)
        #expect(silent.status == 3, "\(silent.errors)")
        // Who reads its output goes away: nothing to speak of.
        let script = "\"$0\" relay exec:yes - < /dev/null | head -c 2; echo \" ${PIPESTATUS[0]}\""
        let head = try await outcome(of: ["bash", "-c", script, Place.pier])
        #expect(head.output == "y\n 1\n")
        #expect(!head.errors.contains("pier:"), "\(head.errors)")
    }

    // MARK: A target that ends first

    private func relayingInput(_ body: (Program, Peer) async throws -> Void) async throws {
        let host = try Host()
        try await running("relay", "-", "127.0.0.1:\(host.port)") { relay in
            try await body(relay, try await host.accept())
        }
    }

    @Test func aLateInputIsSentToItsEndThoughTheTargetFinishedFirst() async throws {
        try await relayingInput { relay, peer in
            peer.finish()
            try await relay.errors.line(with: "has finished sending")
            relay.write("late")
            relay.finishInput()
            #expect(try peer.receiveText() == "late")
            #expect(try await relay.end() == 0, "\(relay.errors.text)")
        }
    }

    @Test func inputThatDoesNotArriveIsAFailureThatCountsIt() async throws {
        try await relayingInput { relay, peer in
            peer.finish()
            try await relay.errors.line(with: "has finished sending")
            relay.send(SIGSTOP)
            relay.write("late")
            relay.finishInput()
            // Closed before the relay can read that.
            try peer.closeNow()
            relay.send(SIGCONT)
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains("at least 4 bytes were not delivered"), "\(relay.errors.text)")
        }
    }

    @Test func aTargetThatTurnsOutToBeGoneEndsItWhereAllWasDelivered() async throws {
        try await relayingInput { relay, peer in
            relay.write("all")
            #expect(try peer.receive(3) == Array("all".utf8))
            peer.finish()
            try await relay.errors.line(with: "has finished sending")
            try peer.resetNow()
            #expect(try await relay.end() == 0, "\(relay.errors.text)")
        }
    }

    @Test func aUnixTargetThatHasClosedEndsItThoughTheInputIsSilent() async throws {
        try await listening(.unix, ["--duplex", "send"], input: .file("/dev/null")) { host in
            try await running("relay", "-", host.path) { relay in
                let status = try await relay.end()
                #expect(status == 0, "\(relay.errors.text)")
            }
        }
    }

    /// Where others may still come, one client's end is not the command's.
    @Test func otherEntrancesGoOn() async throws {
        try await running("relay", "exec:true", "exec:cat", "--also", "127.0.0.1:0", input: .file("/dev/null")) {
            relay in
            let port = try await listeningPort(of: relay)
            try await eventually(patience, "the programs' end") { [pid = relay.pid] in children(of: pid).isEmpty }
            #expect(try Peer(port: port).echo("still there") == "still there")
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
        }
        let both = try await pier("relay", "-", "exec:cat", "--also", "exec:true", saying: "x")
        #expect(both.output == "x" && both.status == 0, "\(both.errors)")
    }

    @Test func eventsTellOfProgramsAndStreams() async throws {
        let relay = try await pier("relay", "-", "exec:sh -c 'cat; exit 3'", "--events", "json", saying: "hello")
        // As `connect` fails.
        #expect(relay.output == "hello" && relay.status == 1)
        let program = "peer=exec:sh -c 'cat; exit 3' client=1"
        let sentence = "exec:sh -c 'cat; exit 3': it ended with status 3 (5 bytes received, 5 sent)"
        let events = try await Events.checked(Array(relay.errors.utf8))
        #expect(
            events == [
                "accepted connection=1 peer=- endpoint=-", "connected connection=2 \(program)",
                "finished connection=1 peer=- by=peer", "finished connection=2 \(program) by=peer",
                "closed connection=1 peer=- received=5 sent=5 messages=1",
                "closed connection=2 \(program) received=5 sent=5 messages=1 status=3",
                "error message=\(sentence) status=1",
                "totals clients=1 received=5 sent=5 messages=1 errors=1",
            ])
    }
}
