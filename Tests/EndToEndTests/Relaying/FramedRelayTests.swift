import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier relay --frame`, where streams meet datagrams.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct FramedRelayTests {
    private func framed(_ frame: String, _ text: String) -> String {
        switch frame {
        case "lines": text + "\n"
        case "length": "\0" + String(decoding: [UInt8(text.utf8.count)], as: UTF8.self) + text
        default: text
        }
    }

    @Test(arguments: ["lines", "length", "none"], ["udp", "unix-dgram"])
    func aClientsFramesAreDatagramsAndItsEndIsPatient(frame: String, far: String) async throws {
        let (peer, endpoint) = try datagramTarget(far)
        try await starting(
            [Place.pier, "relay", "127.0.0.1:0", endpoint, "--frame", frame, "--linger", "200ms", "-v"],
            input: .file("/dev/null")
        ) { program in
            let client = try Peer(port: try await listeningPort(of: program))
            try client.send(framed(frame, "one"))
            #expect(try peer.receiveFirst() == Array("one".utf8))
            try client.send(framed(frame, "two"))
            #expect(try peer.receive() == Array("two".utf8))
            client.finish()
            try peer.send("answer")
            #expect(try client.receiveText() == framed(frame, "answer"))
            program.send(SIGTERM)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            #expect(
                program.errors.lines.contains { $0.contains(" closed: 6 bytes received in 2 messages, 6 sent") },
                "\(program.errors.text)")
        }
    }

    @Test(arguments: ["lines", "length", "none"], ["udp", "unix-dgram"])
    func aSendersDatagramsAreFramesOfAStreamOfItsOwn(frame: String, near: String) async throws {
        let host = try Host()
        try await relaying(datagramFront(near), "127.0.0.1:\(host.port)", "--frame", frame) { relay in
            let sender = try relay.sender()
            try sender.send("one")
            let stream = try await host.accept()
            let question = Array(framed(frame, "one").utf8)
            #expect(try stream.receive(question.count) == question)
            try stream.send(framed(frame, "answer"))
            #expect(try sender.receive() == Array("answer".utf8))
            stream.finish()
            try await relay.hasOnlyItsOwnSocket()
        }
    }

    /// Who reads standard output slowly gets all of it.
    @Test func aSlowReaderOfAnswersGetsAllOfThem() async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        let (peer, endpoint) = try datagramTarget("udp")
        let script =
            "echo question | \"$0\" relay - \"$2\" --frame lines --linger 200ms | { sleep 4; cat > \"$1\"; }; echo read"
        try await starting(["bash", "-c", script, Place.pier, path, endpoint]) { program in
            #expect(try peer.receiveFirst() == Array("question".utf8))
            for number in 1...4 { try peer.send([UInt8](repeating: 0x60 + UInt8(number), count: 40_000)) }
            try await program.output.begins(with: "read\n")
            #expect(bytes(of: path).count == 4 * 40_001)
        }
    }

    @Test func howTheProgramOfAClientEndedIsTold() async throws {
        let (_, endpoint) = try datagramTarget("udp")
        let relay = try await pier(
            "relay", "exec:sh -c 'echo hello; exit 3'", endpoint, "--frame", "lines", "--linger", "50ms", "--events",
            "json")
        let events = try await Events.checked(Array(relay.errors.utf8))
        #expect(events.contains { $0.hasPrefix("closed connection=1 ") && $0.contains(" status=3") }, "\(events)")
    }

    /// A resolver's client that knows UDP alone, and a server that knows TCP alone (RFC 1035, 4.2.2).
    @Test(.enabled(if: Place.has("python3"), "python3 is not installed"))
    func aServerOfLengthsAnswersAskersOfDatagrams() async throws {
        let server = """
            import socketserver, struct, sys
            class Handler(socketserver.StreamRequestHandler):
                def handle(self):
                    while head := self.rfile.read(2):
                        question = self.rfile.read(struct.unpack('>H', head)[0])
                        answer = b're: ' + question
                        self.wfile.write(struct.pack('>H', len(answer)) + answer)
            class Server(socketserver.ThreadingTCPServer): daemon_threads = True
            s = Server(('127.0.0.1', 0), Handler)
            print('tcp://127.0.0.1:%d' % s.server_address[1], file=sys.stderr)
            s.serve_forever()
            """
        try await starting(["python3", "-c", server]) { target in
            let port = try await listeningPort(of: target)
            try await relaying("udp://127.0.0.1:0", "127.0.0.1:\(port)", "--frame", "length") { relay in
                let client = """
                    import socket
                    askers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
                    for round in range(5):
                        for number, s in enumerate(askers):
                            s.settimeout(60)
                            s.connect(('127.0.0.1', \(relay.port)))
                            s.send(b'%d %d' % (number, round))
                        for number, s in enumerate(askers):
                            assert s.recv(100) == b're: %d %d' % (number, round)
                    """
                let python = try await outcome(of: ["python3", "-c", client])
                #expect(python.status == 0, "\(python.errors)")
            }
        }
    }

    @Test func whatIsWrongWithAFramingIsToldOfThatClientAlone() async throws {
        let (peer, endpoint) = try datagramTarget("udp")
        try await starting(
            [Place.pier, "relay", "127.0.0.1:0", endpoint, "--frame", "lines", "--linger", "100ms", "-v"],
            input: .file("/dev/null")
        ) { program in
            let port = try await listeningPort(of: program)
            let (wrong, right) = (try Peer(port: port), try Peer(port: port))
            try wrong.send("before\n" + String(repeating: "x", count: 65_508))
            #expect(try peer.receive() == Array("before".utf8))
            #expect(throws: Errno.connectionReset) { try wrong.receiveText() }
            try await program.errors.line(with: "a line is longer than 65507 bytes")
            try right.send("after\n")
            #expect(try peer.receive() == Array("after".utf8))
        }
    }

    @Test(arguments: [
        (["udp://127.0.0.1:0", "127.0.0.1:1"], "--frame lines"),
        (["127.0.0.1:0", "udp://127.0.0.1:1"], "--frame length"),
        (["127.0.0.1:0", "127.0.0.1:1", "--frame", "lines"], "leave it out"),
        (["udp://127.0.0.1:0", "udp://127.0.0.1:1", "--frame", "none"], "leave it out"),
        (["udp://127.0.0.1:0", "udp://127.0.0.1:1", "--frame", "line"], "lines"),
        (["127.0.0.1:0", "127.0.0.1:1", "udp://127.0.0.1:1"], "of one kind"),
        (["127.0.0.1:0", "127.0.0.1:1", "--also", "udp://127.0.0.1:0"], "a framing is needed"),
        (["unix-dgram:/tmp/pier.none", "unix-dgram:/tmp/pier.none"], "itself"),
        (["unix-dgram:/tmp/pier.self", "unix-dgram:/tmp/../tmp/pier.self"], "itself"),
        (["udp://127.0.0.1:0", "udp://127.0.0.1:1", "--max-sessions", "0"], "a whole number above 0"),
        (["udp://127.0.0.1:0", "udp://127.0.0.1:1", "--linger", "1d"], "500ms"),
        (["udp://127.0.0.1:0?max-clints=1", "udp://127.0.0.1:1"], "max-clients"),
    ])
    func wrongWordsAreUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier, "relay"] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    @Test func aMissingFramingIsToldInChinese() async throws {
        let command = try await outcome(
            of: [Place.pier, "relay", "127.0.0.1:0", "udp://127.0.0.1:1"], environment: ["LANG": "zh_CN.UTF-8"])
        #expect(command.status == 2)
        #expect(command.errors.contains("需要说明分界"), "\(command.errors)")
    }

    /// A file wants no answers, and loses nothing by them.
    @Test func aFileIsSentToItsEndThoughItsTargetAnswers() async throws {
        let path = temporaryPath("lines")
        defer { unlink(path) }
        try makeFile(path, Array((0..<500).map { "line \($0)\n" }.joined().utf8))
        try await running("serve", "echo", "udp://127.0.0.1:0", input: .file("/dev/null")) { server in
            let line = try await server.errors.line(with: "listening udp://")
            let target = String(line.split(separator: " ")[1])
            let relay = try await pier("relay", "file:\(path)", target, "--frame", "lines", "--linger", "50ms")
            #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
            try await eventually(patience, "every line") { server.output.lines.count == 500 }
        }
    }

    @Test(arguments: ["echo one", "echo one; sleep 0.3", "echo one; sleep 0.3; read answer"])
    func aProgramThatLeavesAnswersUnreadHasEnded(script: String) async throws {
        try await running("serve", "echo", "udp://127.0.0.1:0", input: .file("/dev/null")) { server in
            let line = try await server.errors.line(with: "listening udp://")
            let target = String(line.split(separator: " ")[1])
            let relay = try await pier(
                "relay", "exec:sh -c '\(script)'", target, "--frame", "lines", "--linger", "100ms")
            #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
            try await server.output.line(with: "received-->one")
        }
    }

    @Test func halfALineOfAProgramThatWasKilledIsNone() async throws {
        let (peer, target) = try datagramTarget("udp")
        let program = "exec:sh -c 'echo one; printf tw; kill -9 $$'"
        let relay = try await pier("relay", program, target, "--frame", "lines", "--linger", "50ms")
        #expect(relay.status == 1)
        expectOneSentence(relay, "it ended by signal 9")
        #expect(try peer.receiveFirst() == Array("one".utf8))
        #expect(!peer.hasNews(within: 100))
    }
}
