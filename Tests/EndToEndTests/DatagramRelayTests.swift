import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A `pier relay` with datagrams on its near side, while a test runs.
private struct DatagramRelaying: Sendable {
    let program: Program
    /// Where it listens, as it told.
    let place: String
    /// How many sockets it has open then, those among them that it was started with.
    let sockets: Int

    var port: UInt16 { UInt16(place.split(separator: ":").last ?? "") ?? 0 }

    func sender() throws -> DatagramPeer {
        if place.hasPrefix("unix-dgram://") { return try DatagramPeer(path: String(place.dropFirst(13))) }
        return try DatagramPeer(port: port, host: place.contains("[") ? "::1" : "127.0.0.1")
    }

    /// Waits until nothing but what it listens on is open; its other sockets are its clients' and their targets'.
    func hasOnlyItsOwnSocket() async throws {
        let (pid, sockets) = (program.pid, sockets)
        try await eventually(patience, "closing all but its own socket") { socketCount(of: pid) == sockets }
    }
}

private func relaying<R>(
    _ front: String, _ behind: String, _ arguments: String..., environment: [String: String] = [:],
    _ body: (DatagramRelaying) async throws -> R
) async throws -> R {
    defer { if front.hasPrefix("unix-dgram://") { unlink(String(front.dropFirst(13))) } }
    return try await starting(
        [Place.pier, "relay", front, behind] + arguments, input: .file("/dev/null"), environment: environment
    ) { program in
        let line = try await program.errors.line(with: "listening")
        guard let place = line.firstMatch(of: /[a-z-]+:\/\/[^" ]+/) else { throw Unexpected(text: line) }
        return try await body(
            DatagramRelaying(program: program, place: String(place.0), sockets: socketCount(of: program.pid)))
    }
}

/// Who is behind a relay: bound to a kind of place.
private func target(_ kind: String) throws -> (peer: DatagramPeer, endpoint: String) {
    switch kind {
    case "unix-dgram":
        let path = temporaryPath("target")
        return (try DatagramPeer(boundToPath: path), "unix-dgram://\(path)")
    case "udp6":
        let peer = try DatagramPeer(boundTo: "::1")
        return (peer, "udp://[::1]:\(peer.port)")
    default:
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        return (peer, "udp://127.0.0.1:\(peer.port)")
    }
}

private func front(_ kind: String) -> String {
    switch kind {
    case "unix-dgram": unixDatagramEndpoint()
    case "udp6": "udp://[::1]:0"
    default: "udp://127.0.0.1:0"
    }
}

/// Looks again and again until a condition holds that it takes something to find out.
private func look(_ what: String, _ condition: () throws -> Bool) async throws {
    let end = ContinuousClock.now + patience
    while try !condition() {
        guard ContinuousClock.now < end else { throw NeverHappened(what: what) }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// `pier relay` between datagrams, as its users run it.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramRelayTests {
    private static let kinds = ["udp", "udp6", "unix-dgram"]

    @Test(arguments: kinds, kinds)
    func aDialogueGoesThroughAndAFirstSignalEndsIt(near: String, far: String) async throws {
        let (peer, endpoint) = try target(far)
        try await relaying(front(near), endpoint, "-v", "--linger", "100ms") { relay in
            let sender = try relay.sender()
            try sender.send("question")
            #expect(try peer.receiveFirst() == Array("question".utf8))
            for text in ["", "answer", String(repeating: "x", count: 60_000)] {
                try peer.send(text)
                #expect(try sender.receive() == Array(text.utf8))
                try sender.send(text)
                #expect(try peer.receive() == Array(text.utf8))
            }
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0, "\(relay.program.errors.text)")
            let told = relay.program.errors.lines
            #expect(told.contains { $0.contains(" closed: 60014 bytes received in 4 messages, 60006 sent") }, "\(told)")
            #expect(
                told.contains {
                    $0.hasPrefix("totals: 1 clients, 60014 bytes received in 4 messages, 60006 sent, 0 errors")
                })
            if near == "unix-dgram" { #expect(access(String(relay.place.dropFirst(13)), F_OK) != 0) }
        }
    }

    @Test func eachIsToldAsAnEvent() async throws {
        let (peer, endpoint) = try target("udp")
        let told = try await relaying("udp://127.0.0.1:0", endpoint, "--events", "json", "--linger", "50ms") { relay in
            let sender = try relay.sender()
            try sender.send("abc")
            #expect(try peer.receiveFirst() == Array("abc".utf8))
            try peer.send("de")
            #expect(try sender.receive() == Array("de".utf8))
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0)
            return (relay, sender.name, relay.program.errors.bytes)
        }
        let events = try await Events.checked(told.2)
        let target = endpoint.dropFirst("udp://".count)
        #expect(
            events.filter { !$0.hasPrefix("connected ") } == [
                "listening endpoint=\(told.0.place)",
                "accepted connection=1 peer=\(told.1) endpoint=\(told.0.place)",
                "closed connection=1 peer=\(told.1) received=3 sent=2 messages=1",
                "closed connection=2 peer=\(target) client=1 received=2 sent=3 messages=1",
                "totals clients=1 received=3 sent=2 messages=1 errors=0",
            ])
        #expect(events.contains { $0.hasPrefix("connected connection=2 peer=\(target) client=1 local=127.0.0.1:") })
    }

    @Test func aTargetThatIsNotThereIsToldOnceCountedAndFoundWhenItIs() async throws {
        let port = try freeUDPPort()
        let told = try await relaying(
            "udp://127.0.0.1:0", "udp://127.0.0.1:\(port)", "--events", "json", "--linger", "50ms"
        ) { relay in
            let sender = try relay.sender()
            try sender.send("1")
            try await relay.program.errors.line(with: "refused")
            for _ in 0..<20 { try sender.send("2") }
            try await starting([Place.pier, "serve", "echo", "udp://127.0.0.1:\(port)"], input: .file("/dev/null")) {
                _ in
                try await eventually { isBound(udpPort: port) }
                try sender.send("3")
                #expect(try sender.receive() == [0x33])
            }
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0)
            return relay.program.errors.bytes
        }
        let events = try await Events.checked(told)
        // The rest of them is told of at the end.
        let warnings = events.filter { $0.hasPrefix("warning ") }
        #expect(warnings.count == 2, "\(events)")
        let closed = try #require(events.first { $0.hasPrefix("closed connection=1 ") })
        let (counted, lost) = (warnings.map(dropped).reduce(0, +), dropped(closed))
        #expect(counted == lost && lost > 1 && closed.contains("messages=22 dropped="), "\(events)")
    }

    private func dropped(_ event: String) -> Int {
        event.firstMatch(of: #/ dropped=([0-9]+)/#).flatMap { Int($0.1) } ?? 0
    }

    @Test func whatNoTargetTakesIsCounted() async throws {
        let nobody = "127.0.0.1:\(try freePort())"
        let told = try await relaying(
            "udp://127.0.0.1:0", nobody, "--frame", "lines", "--retry", "0", "--events", "json", "--linger", "50ms"
        ) { relay in
            let sender = try relay.sender()
            for number in 1...2 {
                try sender.send("x")
                try await eventually { relay.program.errors.lines.count { $0.contains("\"closed\"") } == number }
            }
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0)
            return relay.program.errors.bytes
        }
        let events = try await Events.checked(told)
        #expect(events.filter { $0.hasPrefix("closed ") }.map(dropped) == [1, 1], "\(events)")
        #expect(events.map { $0.hasPrefix("warning ") ? dropped($0) : 0 }.reduce(0, +) == 2, "\(events)")
    }

    @Test func whatIsTooLongForTheTargetIsLostAndTheNextIsNot() async throws {
        let (peer, endpoint) = try target("udp")
        try await relaying(unixDatagramEndpoint(), endpoint, "-v", "--linger", "50ms") { relay in
            let sender = try relay.sender()
            try sender.send([UInt8](repeating: 1, count: 80_000))
            try sender.send("short")
            #expect(try peer.receive() == Array("short".utf8))
            try await relay.program.errors.line(with: "1 datagrams were lost")
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0)
            #expect(
                relay.program.errors.lines.contains {
                    $0.contains("80005 bytes received in 2 messages") && $0.hasSuffix("1 datagrams lost")
                }, "\(relay.program.errors.text)")
        }
    }

    @Test func aSilentSessionGoesAndItsSocketToo() async throws {
        let (peer, endpoint) = try target("udp")
        try await relaying("udp://127.0.0.1:0?idle-timeout=100ms", endpoint) { relay in
            for text in ["one", "two"] {
                let sender = try relay.sender()
                try sender.send(text)
                #expect(try peer.receive() == Array(text.utf8))
                try await relay.hasOnlyItsOwnSocket()
            }
        }
    }

    @Test func beyondTheMostSessionsTheOneSilentForLongestGoes() async throws {
        let (peer, endpoint) = try target("udp")
        try await relaying("udp://127.0.0.1:0", endpoint, "--max-sessions", "2", "-v") { relay in
            var senders: [DatagramPeer] = []
            for text in ["one", "two", "three"] {
                let sender = try relay.sender()
                try sender.send(text)
                #expect(try peer.receive() == Array(text.utf8))
                senders.append(sender)
            }
            try await relay.program.errors.line(with: "\(senders[0].name) closed")
            let pid = relay.program.pid
            try await eventually { socketCount(of: pid) == relay.sockets + 2 }
        }
    }

    @Test func targetsAreUsedInTurn() async throws {
        let targets = try (0..<2).map { _ in try target("udp") }
        try await relaying("udp://127.0.0.1:0", targets[0].endpoint, targets[1].endpoint) { relay in
            for (_, peer) in [0, 1, 0, 1].map({ ($0, targets[$0].peer) }) {
                let sender = try relay.sender()
                try sender.send("x")
                #expect(try peer.receive() == [0x78])
            }
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalServesThoseWhomItKnowsAndASecondEndsAtOnce(signal: CInt) async throws {
        let (peer, endpoint) = try target("udp")
        try await relaying("udp://127.0.0.1:0", endpoint, "--grace", "1h", "--linger", "1h") { relay in
            let known = try relay.sender()
            try known.send("a")
            #expect(try peer.receiveFirst() == [0x61])
            relay.program.send(signal)
            let pid = relay.program.pid
            var strangers: [DatagramPeer] = []
            try await look("taking no more senders") {
                let before = socketCount(of: pid)
                let stranger = try relay.sender()
                strangers.append(stranger)
                try stranger.send("x")
                // Behind the stranger's, so his has been dealt with.
                try known.send("b")
                #expect(try peer.receive() == [0x62])
                return socketCount(of: pid) == before
            }
            try known.send("c")
            #expect(try peer.receive() == [0x63])
            try peer.send("d")
            #expect(try known.receive() == [0x64])
            relay.program.send(signal)
            #expect(try await relay.program.end() == 128 + signal)
        }
    }

    @Test func aThousandSendersAreEachAnsweredRightlyAndThenForgotten() async throws {
        try await servingDatagrams("echo", "--show", "none") { server in
            try await relaying("udp://127.0.0.1:0?idle-timeout=5s", server.places[0]) { relay in
                let senders = try (0..<1000).map { _ in try relay.sender() }
                for round in 0..<2 {
                    let left = try await onThread { try askAll(senders, round) }
                    #expect(left.isEmpty, "\(left.count) were not answered in round \(round)")
                }
                #expect(socketCount(of: relay.program.pid) == relay.sockets + 1_000)
                try await relay.hasOnlyItsOwnSocket()
                relay.program.send(SIGTERM)
                #expect(try await relay.program.end() == 0)
            }
        }
    }

    @Test(.enabled(if: Place.has("nc"), "nc is not installed"))
    func netcatIsAnsweredThroughIt() async throws {
        try await servingDatagrams("echo") { server in
            try await relaying("udp://127.0.0.1:0", server.places[0]) { relay in
                try await starting(["nc", "-u", "127.0.0.1", "\(relay.port)"]) { client in
                    client.write("hello\n")
                    try await client.output.begins(with: "hello\n")
                }
            }
        }
    }

    @Test(.enabled(if: Place.has("socat"), "socat is not installed"))
    func socatIsAnsweredThroughIt() async throws {
        let own = temporaryPath("client")
        defer { unlink(own) }
        try await servingDatagrams("echo") { server in
            let front = unixDatagramEndpoint()
            try await relaying(front, server.places[0]) { relay in
                let path = String(relay.place.dropFirst("unix-dgram://".count))
                try await starting(["socat", "-", "UNIX-SENDTO:\(path),bind=\(own)"]) { client in
                    client.write("hello\n")
                    try await client.output.begins(with: "hello\n")
                }
            }
        }
    }
}

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
        let (peer, endpoint) = try target(far)
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
        try await relaying(front(near), "127.0.0.1:\(host.port)", "--frame", frame) { relay in
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
        let (peer, endpoint) = try target("udp")
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
        let (_, endpoint) = try target("udp")
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
        let (peer, endpoint) = try target("udp")
        try await starting(
            [Place.pier, "relay", "127.0.0.1:0", endpoint, "--frame", "lines", "--linger", "100ms", "-v"],
            input: .file("/dev/null")
        ) { program in
            let port = try await listeningPort(of: program)
            let (wrong, right) = (try Peer(port: port), try Peer(port: port))
            try wrong.send("before\n" + String(repeating: "x", count: 65_508))
            #expect(try peer.receive() == Array("before".utf8))
            #expect(try wrong.receiveText() == "")
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
        (["udp://127.0.0.1:0", "udp://127.0.0.1:1", "--linger", "1"], "500ms"),
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
}
