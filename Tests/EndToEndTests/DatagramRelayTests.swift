import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

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
        let (peer, endpoint) = try datagramTarget(far)
        try await relaying(datagramFront(near), endpoint, "-v", "--linger", "100ms") { relay in
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
        let (peer, endpoint) = try datagramTarget("udp")
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
        let (peer, endpoint) = try datagramTarget("udp")
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
        let (peer, endpoint) = try datagramTarget("udp")
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
        let (peer, endpoint) = try datagramTarget("udp")
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
        let targets = try (0..<2).map { _ in try datagramTarget("udp") }
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
        let (peer, endpoint) = try datagramTarget("udp")
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
            #expect(try await relay.program.end() == -signal)
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
