import SocketCore
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 8 of the contract, for `connect` and `listen`: a signal before both directions have ended.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct InterruptedTests {
    @Test(arguments: ["connect", "listen"], [SIGINT, SIGTERM, SIGHUP])
    func anInterruptedTransferIsAResetAndTheEndByThatSignal(verb: String, signal: CInt) async throws {
        try await joined(verb, input: .file("/dev/zero")) { program, peer in
            #expect(try peer.receive(100_000).count == 100_000)
            let reading = Task.detached { Result { try peer.receive(.max) } }
            program.send(signal)
            let status = try await program.end()
            #expect(status == -signal, "\(program.errors.text)")
            let ended = await reading.value
            #expect(throws: Errno.connectionReset) { try ended.get() }
            #expect(program.errors.text.contains("cut short by a signal"), "\(program.errors.text)")
        }
    }

    /// The rest of what was read is sent, for as long as the grace lasts.
    @Test(arguments: ["connect", "listen"])
    func aPeerThatTakesNothingIsCutOffWhenTheGraceIsOver(verb: String) async throws {
        try await joined(verb, ["--grace", "700ms"], input: .file("/dev/zero")) { program, peer in
            try await fills(program, peer)
            program.send(SIGTERM)
            try await program.errors.line(with: "a second signal ends this at once")
            let status = try await program.end()
            #expect(status == -SIGTERM)
            #expect(throws: Errno.connectionReset) { try peer.receive(.max) }
        }
    }

    @Test(arguments: ["connect", "listen"])
    func aSecondSignalEndsTheWaitAtOnce(verb: String) async throws {
        try await joined(verb, ["--grace", "1h"], input: .file("/dev/zero")) { program, peer in
            try await fills(program, peer)
            program.send(SIGTERM)
            try await program.errors.line(with: "a second signal ends this at once")
            program.send(SIGINT)
            let status = try await program.end()
            #expect(status == -SIGINT)
            #expect(throws: Errno.connectionReset) { try peer.receive(.max) }
        }
    }

    /// All was delivered, and nothing is waited for; least of all the answer of a silent peer.
    @Test(arguments: ["connect", "listen"])
    func afterTheEndOfInputASignalEndsAtOnceAndThePeerSeesACleanEnd(verb: String) async throws {
        try await joined(verb, ["--grace", "1h"], input: .pipe) { program, peer in
            program.write("all")
            program.finishInput()
            #expect(try peer.receiveText() == "all")
            program.send(SIGINT)
            let status = try await program.end()
            #expect(status == -SIGINT)
            #expect(!program.errors.text.contains("cut short"), "\(program.errors.text)")
            #expect(program.errors.text.contains("3 bytes were delivered and 0 received"), "\(program.errors.text)")
        }
    }

    /// An input that could go on is not whole, though all that was read of it was delivered.
    @Test(arguments: ["connect", "listen"])
    func anInputThatHasNotEndedIsCutShort(verb: String) async throws {
        try await joined(verb, ["--grace", "1h"], input: .pipe) { program, peer in
            program.write("some")
            #expect(try peer.receive(4) == Array("some".utf8))
            program.send(SIGTERM)
            let status = try await program.end()
            #expect(status == -SIGTERM)
            #expect(throws: Errno.connectionReset) { try peer.receiveText() }
            #expect(program.errors.text.contains("4 bytes were delivered and 0 received"), "\(program.errors.text)")
        }
    }

    /// A user who stops at a terminal has typed all.
    @Test func atATerminalASignalIsACleanEndForThePeer() async throws {
        let (host, terminal) = (try Host(), try Terminal())
        try await running("connect", "127.0.0.1:\(host.port)", input: .descriptor(terminal.program)) { program in
            let peer = try await host.accept()
            terminal.type("hello\n")
            #expect(try peer.receive(6) == Array("hello\n".utf8))
            program.send(SIGINT)
            let status = try await program.end()
            #expect(status == -SIGINT)
            #expect(try peer.receiveText() == "")
            #expect(program.errors.text == "")
        }
    }

    /// A Unix socket has no reset: status and line tell.
    @Test func overAUnixSocketTheStatusAndALineTell() async throws {
        try await listening(.unix, input: .pipe) { host in
            let client = try host.client()
            host.program.write("some")
            #expect(try client.receive(4) == Array("some".utf8))
            host.program.send(SIGTERM)
            let status = try await host.program.end()
            #expect(status == -SIGTERM)
            #expect(host.program.errors.text.contains("over a Unix socket the peer sees an end"))
        }
    }

    /// What is unacknowledged when the peer is gone can never arrive.
    @Test(arguments: ["connect", "listen"])
    func aPeerThatResetsEndsTheWaitForIt(verb: String) async throws {
        try await joined(verb, ["--grace", "off"], input: .file("/dev/zero")) { program, peer in
            try await fills(program, peer)
            program.send(SIGTERM)
            try await program.errors.line(with: "a second signal ends this at once")
            try peer.resetNow()
            let status = try await program.end()
            #expect(status == -SIGTERM)
            #expect(program.errors.text.contains("reset") || program.errors.text.contains("were not"))
        }
    }

    @Test func anEventTellsOfTheCut() async throws {
        try await listening(.unix, ["--events", "json"]) { host in
            let client = try host.client()
            host.program.write("some")
            #expect(try client.receive(4) == Array("some".utf8))
            host.program.send(SIGTERM)
            let status = try await host.program.end()
            #expect(status == -SIGTERM)
            let told = try await Events.checked(host.program.errors.bytes)
            #expect(told.contains { $0.hasPrefix("closed ") && $0.contains("cut=signal") }, "\(told)")
        }
    }

    /// A program that finds end-of-file could take a part for the whole.
    @Test func aProgramIsKilledBeforeItFindsTheEndOfItsInput() async throws {
        let path = temporaryPath("whole")
        defer { unlink(path) }
        try await running("connect", "exec:sh -c 'cat; echo whole >\(path)'") { program in
            program.write("part")
            try await program.output.begins(with: "part")
            program.send(SIGTERM)
            let status = try await program.end()
            #expect(status == -SIGTERM)
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func aDialogueIsCutShortToo(wire: Wire) async throws {
        try await listening(wire, ["--duplex", "half"]) { host in
            let client = try host.client()
            try client.send("hello")
            try await host.program.output.begins(with: "received-->hello\n--->")
            host.program.send(SIGINT)
            let status = try await host.program.end()
            #expect(status == -SIGINT)
            if wire == .tcp { #expect(throws: Errno.connectionReset) { try client.receiveText() } }
        }
    }

    // MARK: Without a peer

    @Test(arguments: Wire.allCases)
    func beforeTheFirstClientListenEndsByTheSignal(wire: Wire) async throws {
        try await listening(wire) { host in
            host.program.send(SIGTERM)
            let status = try await host.program.end()
            #expect(status == -SIGTERM)
            #expect(wire == .tcp || access(host.path, F_OK) != 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func betweenClientsListenKeepEndsAsAServer(wire: Wire) async throws {
        try await listening(wire, ["--keep"], input: .file("/dev/null")) { host in
            let before = socketCount(of: host.program.pid)
            let next = try host.client()
            next.finish()
            #expect(try next.receiveText() == "")
            try await eventually(patience, "the client's end") { [pid = host.program.pid] in
                socketCount(of: pid) == before
            }
            host.program.send(SIGTERM)
            let status = try await host.program.end()
            #expect(status == 0)
        }
    }

    // MARK: Setting it up

    private func joined(
        _ verb: String, _ arguments: [String] = [], input: Stream,
        _ body: (Program, Peer) async throws -> Void
    ) async throws {
        if verb == "connect" {
            let host = try Host()
            let place = "127.0.0.1:\(host.port)"
            try await starting([Place.pier, verb, place] + arguments, input: input) { program in
                try await body(program, try await host.accept())
            }
        } else {
            try await listening(.tcp, arguments, input: input) { host in
                try await body(host.program, try host.client())
            }
        }
    }

    /// Waits until the kernel's buffers between the two are full, so that a send waits for the peer.
    private func fills(_ program: Program, _ peer: Peer) async throws {
        let before = Lock<CInt>(-1)
        try await eventually(patience, "full buffers") {
            let now = peer.waiting
            return before.withLock { before in
                defer { before = now }
                return now > 0 && now == before && processState(of: program.pid) == "S"
            }
        }
    }
}

extension Peer {
    /// How many bytes have come that were not received.
    fileprivate var waiting: CInt {
        var count: CInt = 0
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? count : -1
    }
}
