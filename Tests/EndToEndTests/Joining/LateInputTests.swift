import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 2 of the contract: the peer's end says nothing about the input, which is sent to its end.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct LateInputTests {
    private static let waiting = "waiting for more of standard input"

    @Test(arguments: Wire.allCases)
    func aLateInputIsSentToItsEndThoughTheClientFinishedFirst(wire: Wire) async throws {
        try await listening(wire) { host in
            let client = try host.client()
            client.finish()
            // Pier says so once, with the ways out.
            let told = try await host.program.errors.line(with: Self.waiting)
            #expect(told.contains("--duplex receive") && told.contains("--linger 1s"), "\(told)")
            for word in ["one", "two"] {
                host.program.write(word)
                #expect(try client.receive(3) == Array(word.utf8))
            }
            host.program.finishInput()
            #expect(try client.receiveText() == "")
            #expect(try await host.program.end() == 0)
            #expect(host.program.errors.lines.count == 2, "\(host.program.errors.text)")
        }
    }

    @Test func connectSendsALateInputToItsEnd() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)") { program in
            let peer = try await host.accept()
            peer.finish()
            try await program.errors.line(with: Self.waiting)
            program.write("late")
            program.finishInput()
            #expect(try peer.receiveText() == "late")
            #expect(try await program.end() == 0)
        }
    }

    @Test func aProgramThatStillReadsGetsALateInput() async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        // It ends its output and goes on reading: the two are one socket, so only shutdown(2) can do that.
        let reader = """
            import socket; s = socket.socket(fileno=0); s.shutdown(socket.SHUT_WR); \
            f = open("\(path)", "wb"); [f.write(p) for p in iter(lambda: s.recv(9), b"")]
            """
        try await running("connect", "exec:python3 -c '\(reader)'") { program in
            try await program.errors.line(with: Self.waiting)
            program.write("late")
            program.finishInput()
            #expect(try await program.end() == 0, "\(program.errors.text)")
            #expect(contents(of: path) == "late")
        }
    }

    /// Its reader need not wait for the end of an input that goes on.
    @Test(arguments: Wire.allCases)
    func standardOutputIsClosedWhenThePeerHasFinished(wire: Wire) async throws {
        try await listening(wire) { host in
            let client = try host.client()
            try client.send("all")
            client.finish()
            let output = host.program.output
            try await eventually(patience, "the end of standard output") { output.isAtEnd }
            #expect(output.text == "all" && host.program.ending == nil)
        }
    }

    @Test(arguments: Wire.allCases)
    func withKeepStandardOutputStaysOpenForTheNextClient(wire: Wire) async throws {
        try await listening(wire, ["--keep"], input: .file("/dev/null")) { host in
            for word in ["one", "two"] {
                let client = try host.client()
                try client.send(word)
                client.finish()
                #expect(try client.receiveText() == "")
            }
            try await host.program.output.begins(with: "onetwo")
        }
    }

    // MARK: A peer that is gone

    /// A Unix peer that has closed is found though the input is silent and never ends.
    @Test func aUnixPeerThatHasClosedIsFoundAtOnce() async throws {
        try await listening(.unix) { host in
            do {
                let client = try host.client()
                try client.send("all")
            }
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "all")
        }
    }

    /// A reset after the peer's end, with nothing undelivered, is how a closed peer is found over TCP.
    @Test func aPeerThatTurnsOutToBeGoneIsNoErrorWhereAllWasDelivered() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)") { program in
            let peer = try await host.accept()
            program.write("all")
            #expect(try peer.receive(3) == Array("all".utf8))
            peer.finish()
            try await program.errors.line(with: Self.waiting)
            try peer.resetNow()
            #expect(try await program.end() == 0, "\(program.errors.text)")
        }
    }

    /// The kernel of a closed peer forgets the connection after a minute, and then answers a probe with a reset.
    @Test func afterThePeersEndItIsProbedEveryFiveSeconds() async throws {
        for (keepAlive, most) in [("60s", 500), ("off", nil)] as [(String, Int?)] {
            let host = try Host()
            try await running("connect", "127.0.0.1:\(host.port)", "--keep-alive", keepAlive) { program in
                let peer = try await host.accept()
                peer.finish()
                try await program.errors.line(with: Self.waiting)
                // /proc/net/tcp has the time to the next probe, in hundredths of a second.
                let timer = keepAliveTimer(to: host.port)
                #expect(
                    most == nil ? timer == nil : timer.map { $0 <= most ?? 0 } == true, "\(String(describing: timer))")
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func inputThatDoesNotArriveIsAFailureThatCountsIt(wire: Wire) async throws {
        try await listening(wire) { host in
            do {
                let client = try host.client()
                client.finish()
                if wire == .tcp { try await host.program.errors.line(with: Self.waiting) }
                host.program.send(SIGSTOP)
            }
            // The client has closed before this is written.
            host.program.write("late")
            host.program.send(SIGCONT)
            #expect(try await host.program.end() == 1)
            #expect(
                host.program.errors.text.contains("0 bytes were delivered, and at least 4 were not"),
                "\(host.program.errors.text)")
        }
    }

    /// Silence that the user asked to be taken for the end loses nothing.
    @Test(arguments: Wire.allCases)
    func anAskedForSilenceOfTheInputEndsIt(wire: Wire) async throws {
        try await listening(wire, ["--linger", "50ms"]) { host in
            let client = try host.client()
            client.finish()
            #expect(try await host.program.end() == 0)
            #expect(try client.receiveText() == "")
        }
    }

    /// A peer that takes nothing for that long has not got the input.
    @Test(arguments: Wire.allCases)
    func aPeerThatTakesNothingForTheAskedForSilenceIsAFailure(wire: Wire) async throws {
        try await listening(wire, ["--linger", "200ms"], input: .file("/dev/zero")) { host in
            let client = try host.client()
            client.finish()
            #expect(try await host.program.end() == 1)
            #expect(host.program.errors.text.contains("were delivered, and at least"), "\(host.program.errors.text)")
            if wire == .tcp { #expect(throws: (any Error).self) { try client.receive(.max) } }
        }
    }

    /// The peer answers the last input and closes at once. What ends is the send under way at that moment, and its end must
    /// wake the wait: else each of these takes five seconds.
    @Test func theEndOfASendWakesTheWaitForIt() async throws {
        for _ in 0..<10 {
            let host = try Host()
            try await running("connect", "127.0.0.1:\(host.port)", "--linger", "1ms") { program in
                let peer = try await host.accept()
                program.write("question\n")
                _ = try peer.receive(9)
                try peer.send("answer\n")
                peer.finish()
                #expect(try await program.end(within: .seconds(60)) == 0)
                #expect(program.output.text == "answer\n")
            }
        }
    }

    /// A super-server passes one socket as both streams. Its client still finds the end of the output.
    @Test func theEndOfOutputIsFoundWhereItIsOneSocketWithTheInput() async throws {
        let host = try Host()
        try await running("relay", "127.0.0.1:0", "exec:\(Place.pier) connect 127.0.0.1:\(host.port)") { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            let peer = try await host.accept()
            try peer.send("answer")
            peer.finish()
            // The client's own input goes on.
            #expect(try client.receiveText() == "answer")
            try client.send("late")
            client.finish()
            #expect(try peer.receiveText() == "late")
        }
    }

    /// A line that meets a closed peer is not delivered.
    @Test func aDialoguesLastLineIsNotLostInSilence() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { program in
            program.write("one\n")
            do {
                let peer = try await host.accept()
                #expect(try peer.receive(3) == Array("one".utf8))
                try peer.send("reply")
            }
            try await program.output.begins(with: "--->reply-->reply\n--->")
            program.write("two\n")
            #expect(try await program.end() == 1)
            #expect(
                program.errors.text.contains("3 bytes were delivered, and at least 3 were not"),
                "\(program.errors.text)")
        }
    }

    /// At a terminal the user has seen the end.
    @Test(arguments: ["full", "half"])
    func atATerminalThePeersEndEndsTheCommandWithAWord(duplex: String) async throws {
        let (host, terminal) = (try Host(), try Terminal())
        let input = Stream.descriptor(terminal.program)
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", duplex, input: input) { program in
            let peer = try await host.accept()
            terminal.type("hello\n")
            #expect(try peer.receive(5) == Array("hello".utf8))
            if duplex == "half" {
                try peer.send("reply")
                try await program.output.begins(with: "--->reply-->reply\n--->")
            }
            peer.finish()
            #expect(try await program.end() == 0)
            #expect(program.errors.text.contains("the peer finished before the input did"), "\(program.errors.text)")
            #expect(try peer.receiveText() == (duplex == "full" ? "\n" : ""))
        }
    }
}

/// In hundredths of a second, when the keep-alive timer of a connection to a port expires; nil where it has none.
private func keepAliveTimer(to port: UInt16) -> Int? {
    let number = String(port, radix: 16, uppercase: true)
    let remote = ":" + String(repeating: "0", count: 4 - number.count) + number
    for line in contents(of: "/proc/net/tcp").split(separator: "\n") {
        let fields = line.split(separator: " ")
        guard fields.count > 5, fields[2].hasSuffix(remote) else { continue }
        let timer = fields[5].split(separator: ":")
        guard timer.first == "02", timer.count == 2 else { return nil }
        return Int(timer[1], radix: 16)
    }
    return nil
}
