import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `listen` with datagrams: the first sender is the peer, and silence is the end.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListenDatagramTests {
    enum Kind: String, CaseIterable, Sendable {
        /// On one address, where the kernel turns others away; on every address, where they are dropped here; and Unix.
        case one, every, unix
    }

    private struct Place {
        let program: Program
        let port: UInt16
        let path: String
        func sender() throws -> DatagramPeer {
            path.isEmpty ? try DatagramPeer(port: port) : try DatagramPeer(path: path)
        }
    }

    private func listening<R>(
        _ kind: Kind, _ arguments: [String] = [], input: Stream = .pipe, _ body: (Place) async throws -> R
    ) async throws -> R {
        let path = kind == .unix ? temporaryPath("sock") : ""
        let place =
            switch kind {
            case .one: "udp://127.0.0.1:0"
            case .every: "udp://:0"
            case .unix: "unix-dgram://\(path)"
            }
        return try await starting([EndToEndTests.Place.pier, "listen", place] + arguments, input: input) { program in
            let line = try await program.errors.line(with: kind == .unix ? path : "udp://")
            let port = line.firstMatch(of: /:(\d+)("|$)/).flatMap { UInt16($0.1) } ?? 0
            return try await body(Place(program: program, port: port, path: path))
        }
    }

    @Test(arguments: Kind.allCases)
    func theFirstSenderIsThePeerAndEveryDatagramIsOne(kind: Kind) async throws {
        try await listening(kind, ["--linger", "300ms"]) { host in
            let peer = try host.sender()
            try peer.send("hello")
            try await host.program.output.begins(with: "hello")
            host.program.write("one\n")
            #expect(try peer.receive() == Array("one\n".utf8))
            try peer.send([])
            try peer.send("深\u{1b}\n")
            try await host.program.output.begins(with: "hello深\u{1b}\n")
            host.program.write("two\nlines")
            #expect(try peer.receive() == Array("two\nlines".utf8))
            let end = ContinuousClock.now
            host.program.finishInput()
            #expect(try await host.program.end() == 0)
            #expect(ContinuousClock.now - end >= .milliseconds(290))
            #expect(!peer.hasNews())
            #expect(host.path.isEmpty || access(host.path, F_OK) != 0)
        }
    }

    @Test(arguments: Kind.allCases)
    func aFirstDatagramOfNoBytesMakesAPeerToo(kind: Kind) async throws {
        try await listening(kind, ["-v", "--linger", "100ms"]) { host in
            let peer = try host.sender()
            try peer.send([])
            host.program.write("welcome")
            #expect(try peer.receive() == Array("welcome".utf8))
            host.program.finishInput()
            #expect(try await host.program.end() == 0)
            try await host.program.errors.line(with: "0 bytes received in 1 messages, 7 sent")
        }
    }

    @Test(arguments: Kind.allCases)
    func othersAreNotHeard(kind: Kind) async throws {
        try await listening(kind, ["--linger", "100ms"]) { host in
            let peer = try host.sender()
            try peer.send("mine")
            try await host.program.output.begins(with: "mine")
            var other: DatagramPeer?
            if kind == .every {
                other = try host.sender()
                for _ in 0..<2 { try other?.send("another's") }
            } else {
                // Refused by the kernel: at once, or over UDP with the next call.
                #expect(throws: (any Error).self) {
                    other = try host.sender()
                    try other?.send("another's")
                    _ = other?.isRefused(within: 60000)
                    try other?.send("another's")
                }
            }
            try peer.send(" again")
            try await host.program.output.begins(with: "mine again")
            host.program.write("for the peer")
            #expect(try peer.receive() == Array("for the peer".utf8))
            #expect(other?.hasNews() != true)
            host.program.finishInput()
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "mine again")
            #expect(host.program.errors.text.contains("2 datagrams of others than") == (kind == .every))
        }
    }

    @Test(arguments: Kind.allCases)
    func afterTheSilenceTheNextSenderIsThePeer(kind: Kind) async throws {
        try await listening(kind, ["--keep", "--linger", "200ms", "--events", "json"]) { host in
            host.program.write("for the first")
            let first = try host.sender()
            try first.send("1")
            #expect(try first.receive() == Array("for the first".utf8))
            let second = try host.sender()
            try second.send("too early")
            host.program.finishInput()
            try await host.program.errors.line(with: "\"event\":\"closed\",\"connection\":1")
            try second.send("2")
            try await host.program.errors.line(with: "\"event\":\"closed\",\"connection\":2")
            #expect(!second.hasNews())
            host.program.send(SIGTERM)
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "12")
            let told = try await Events.checked(host.program.errors.bytes)
            #expect(told.contains { $0.hasPrefix("warning ") && $0.hasSuffix("dropped=1") }, "\(told)")
            #expect(told.last == "totals clients=2 received=2 sent=13 messages=2 errors=0")
        }
    }

    @Test(arguments: Kind.allCases)
    func theIdleTimeIsAnEndThoughTheInputGoesOn(kind: Kind) async throws {
        try await listening(kind, ["--idle-timeout", "100ms"]) { host in
            let peer = try host.sender()
            try peer.send("hello")
            #expect(try await host.program.end() == 0, "\(host.program.errors.text)")
            #expect(host.program.output.text == "hello")
        }
        try await listening(kind, ["--keep", "--idle-timeout", "100ms", "-v"]) { host in
            let first = try host.sender()
            try first.send("1")
            try await host.program.errors.line(with: " closed: ")
            let second = try host.sender()
            try second.send("2")
            host.program.write("for the second")
            #expect(try second.receive() == Array("for the second".utf8))
        }
    }

    @Test(arguments: Kind.allCases, [SIGINT, SIGTERM])
    func aSignalEndsItAtOnce(kind: Kind, signal: CInt) async throws {
        for duplex in ["full", "receive", "half"] {
            try await listening(kind, ["--duplex", duplex, "--linger", "1h", "--grace", "1h"]) { host in
                let peer = try host.sender()
                try peer.send("news")
                try await eventually { host.program.output.text.contains("news") }
                if duplex == "half" {
                    host.program.write("answer\n")
                    #expect(try peer.receive() == Array("answer".utf8))
                }
                host.program.send(signal)
                #expect(try await host.program.end() == -signal, "\(duplex): \(host.program.errors.text)")
            }
        }
        // Nobody is there who could be waited for.
        try await listening(kind, ["--grace", "1h"]) { host in
            host.program.send(signal)
            let status = try await host.program.end()
            #expect(status == -signal)
        }
    }

    @Test(arguments: Kind.allCases)
    func halfDuplexIsADialogueInWhichThePeerHasTheFirstWord(kind: Kind) async throws {
        try await listening(kind, ["--duplex", "half", "--linger", "100ms"]) { host in
            let peer = try host.sender()
            try peer.send("hello")
            try await host.program.output.begins(with: "received-->hello\n--->")
            host.program.write("world\n")
            #expect(try peer.receive() == Array("world".utf8))
            try peer.send("")
            try await host.program.output.begins(with: "received-->hello\n--->received-->\n--->")
            host.program.finishInput()
            #expect(try await host.program.end() == 0)
        }
    }

    @Test func aUDPPeerThatIsGoneIsAFailureAndWithKeepTheNextHasTheInput() async throws {
        try await listening(.one) { host in
            do { try host.sender().send("hello") }
            try await host.program.output.begins(with: "hello")
            // Nobody is there: the network says so of the first, and the next call is told.
            for _ in 0..<1000 where host.program.ending == nil {
                host.program.write("anybody?")
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await host.program.end() == 1)
            #expect(host.program.errors.text.contains("refused"), "\(host.program.errors.text)")
        }
        try await listening(.unix, ["--keep"]) { host in
            do {
                let peer = try host.sender()
                try peer.send("hello")
                try await host.program.output.begins(with: "hello")
            }
            host.program.write("for whom it may concern")
            // What it was told is a line behind where it listens.
            try await eventually { host.program.errors.lines.count > 1 }
            let next = try host.sender()
            try next.send("me")
            #expect(try next.receive() == Array("for whom it may concern".utf8))
        }
    }

    @Test(arguments: Kind.allCases)
    func nobodyInTimeIsATimeOut(kind: Kind) async throws {
        try await listening(kind, ["--timeout", "50ms"]) { host in
            let status = try await host.program.end()
            #expect(status == 3)
            #expect(host.program.errors.text.contains("--timeout"), "\(host.program.errors.text)")
        }
    }

    @Test func anAnswerLeavesFromTheAddressThatWasAsked() async throws {
        try await listening(.every) { host in
            // Connected, so that it hears no other.
            let peer = try DatagramPeer(port: host.port, host: "127.0.0.5")
            try peer.send("hello")
            host.program.write("world")
            #expect(peer.hasNews(within: 60000))
            #expect(try peer.receive() == Array("world".utf8))
        }
    }
}
