import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Runs `pier relay 127.0.0.1:0` to some targets while `body` runs.
private func relaying<R>(
    _ arguments: String..., launcher: [String] = [], environment: [String: String] = [:],
    _ body: (Program, UInt16) async throws -> R
) async throws -> R {
    try await starting(
        launcher + [Place.pier, "relay", "127.0.0.1:0"] + arguments, input: .file("/dev/null"),
        environment: environment
    ) { program in try await body(program, try await listeningPort(of: program)) }
}

/// `pier relay`, as its users run it.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayTests {
    @Test(arguments: [false, true], [false, true])
    func anAnswerAfterTheEndOfInputComesThrough(isFrontUnix: Bool, isBehindUnix: Bool) async throws {
        let (front, behind) = (temporaryPath("sock"), temporaryPath("sock"))
        // All of it comes back only when the question has ended.
        let server = """
            import socket, sys
            path = sys.argv[1]
            s = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
            s.bind(path or ('127.0.0.1', 0)); s.listen()
            print('tcp://127.0.0.1:%d' % s.getsockname()[1] if not path else 'ready', file=sys.stderr)
            c, _ = s.accept()
            data = b''
            while (piece := c.recv(65536)): data += piece
            c.sendall(data[::-1]); c.close()
            """
        try await starting(["python3", "-c", server, isBehindUnix ? behind : ""]) { target in
            var place = behind
            if isBehindUnix {
                try await target.errors.line(with: "ready")
            } else {
                place = "127.0.0.1:\(try await listeningPort(of: target))"
            }
            defer { unlink(behind) }
            try await running("relay", isFrontUnix ? front : "127.0.0.1:0", place) { relay in
                let line = try await relay.errors.line(with: "listening ")
                let endpoint = String(line.split(separator: " ")[1])
                let client = try await pier("connect", endpoint, saying: "question")
                #expect(client.output == "noitseuq" && client.status == 0, "\(client.errors)")
                relay.send(SIGTERM)
                #expect(try await relay.end() == 0)
                #expect(access(front, F_OK) != 0)
            }
        }
    }

    @Test func targetsAreUsedInTurnAndOneThatRefusesIsPassedOver() async throws {
        let (one, other, nobody) = (try Host(), try Host(), try freePort())
        try await relaying("127.0.0.1:\(one.port)", "127.0.0.1:\(nobody)", "127.0.0.1:\(other.port)") {
            relay, port in
            var clients: [Peer] = []
            for host in [one, other, other, one] {
                let client = try Peer(port: port)
                try client.send("x")
                #expect(try await host.accept().receive(1) == [0x78])
                clients.append(client)
            }
            try await relay.errors.line(with: "refused")
            #expect(relay.errors.lines.count { $0.contains("refused") } == 1, "\(relay.errors.text)")
        }
    }

    @Test func withoutATargetTheClientSeesAResetAndOneLineIsTold() async throws {
        try await relaying("127.0.0.1:\(try freePort())") { relay, port in
            for _ in 0..<3 {
                let client = try Peer(port: port)
                // Whichever comes first hears of it.
                #expect(throws: (any Error).self) {
                    try client.send("x")
                    _ = try client.receive(1)
                }
            }
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
            #expect(relay.errors.lines.count { $0.contains("refused") } == 1, "\(relay.errors.text)")
        }
    }

    @Test func nothingIsLostWhileATargetIsWaitedFor() async throws {
        let free = try freePort()
        try await relaying("127.0.0.1:\(free)", "--retry", "forever", "--backoff", "10ms..50ms") { relay, port in
            let client = try Peer(port: port)
            try client.send("meanwhile")
            client.finish()
            try await relay.errors.line(with: "refused")
            try await starting([Place.pier, "serve", "echo", "127.0.0.1:\(free)"], input: .file("/dev/null")) { _ in
                let text = try client.receiveText()
                #expect(text == "meanwhile")
            }
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func theFirstSignalDrainsAndTheSecondEndsAtOnce(signal: CInt) async throws {
        for isPatient in [true, false] {
            let host = try Host()
            try await relaying("127.0.0.1:\(host.port)", "--grace", "1h") { relay, port in
                let client = try Peer(port: port)
                try client.send("a")
                let target = try await host.accept()
                #expect(try target.receive(1) == Array("a".utf8))
                relay.send(signal)
                try await eventually(patience, "refusing") {
                    // One that was still let in must not be waited for.
                    guard let late = try? Peer(port: port) else { return true }
                    late.resetAtClose()
                    return false
                }
                try target.send("b")
                #expect(try client.receive(1) == Array("b".utf8))
                if isPatient {
                    client.finish()
                    #expect(try target.receiveText() == "")
                    target.finish()
                    #expect(try await relay.end() == 0)
                } else {
                    relay.send(signal)
                    #expect(try await relay.end() == -signal)
                }
            }
        }
    }

    @Test(arguments: [
        (["--retry", "often"], "forever"), (["--retry", "-1"], "retry"), (["--backoff", "1s"], "100ms..10s"),
        (["--backoff", "2s..1s"], "100ms..10s"), (["udp://127.0.0.1:1"], "of one kind"),
        (["127.0.0.1:1?timout=1s"], "timeout"), (["--also", "udp://127.0.0.1:0"], "a framing is needed"),
        (["-", "-"], "given twice"), (["--also", "-", "-"], "given twice"), (["fd:0", "-"], "the same descriptor"),
        (["systemd:a", "systemd:a"], "given twice"), (["file:x?mode=reed"], "read, write, append"),
        (["exec:"], "exec:cat"),
    ])
    func wrongWordsAreUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier, "relay", "127.0.0.1:0", "127.0.0.1:1"] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    /// As connect refuses them; not when a client is there.
    @Test(arguments: [
        (["127.0.0.1:0"], "port 0"), (["[::1]:80", "-4"], "only IPv4 is asked for"), (["127.0.0.1:80", "-6"], "IPv6"),
        (["./x.sock", "--source", "127.0.0.1"], "leave the source"), (["exec:cat", "-4"], "has no IP address"),
        (["[::1]:80", "-4", "--retry", "forever"], "only IPv4 is asked for"),
    ])
    func aTargetsWordsAreLookedAtFirst(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier, "relay", "127.0.0.1:0"] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }
}
