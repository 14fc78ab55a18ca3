import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `connect` with datagrams, one way or both at once.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramConnectTests {
    @Test func whatIsReadAtOnceIsOneDatagramAndAnswersComeAsTheyAre() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await running("connect", "udp://127.0.0.1:\(peer.port)", "--linger", "300ms") { client in
            client.write("one\n")
            #expect(try peer.receiveFirst() == Array("one\n".utf8))
            // The other way, before anything else is said, and more than was asked for.
            let bytes = (0...255).map { UInt8($0) }
            try peer.send(bytes)
            try peer.send([])
            try peer.send("深\u{1b}[2J\n")
            try await eventually { client.output.bytes == bytes + Array("深\u{1b}[2J\n".utf8) }
            client.write("two\nlines")
            #expect(try peer.receive() == Array("two\nlines".utf8))
            let end = ContinuousClock.now
            client.finishInput()
            #expect(try await client.end() == 0)
            #expect(ContinuousClock.now - end >= .milliseconds(290))
            // Datagrams have no end: nothing more was sent.
            #expect(!peer.hasNews())
            #expect(client.errors.text.isEmpty, "\(client.errors.text)")
        }
    }

    @Test func theEndIsASecondOfSilenceUnlessLingerSaysOtherwise() async throws {
        // There is only this time. Where the machine takes as long for one answer, another try may do.
        for _ in 0..<20 {
            do { return try await theEndIsASecondOfSilence() } catch is TooSlow {}
        }
        try await theEndIsASecondOfSilence()
    }

    private func theEndIsASecondOfSilence() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await running("connect", "udp://127.0.0.1:\(peer.port)") { client in
            client.write("hello")
            _ = try peer.receiveFirst()
            var last = ContinuousClock.now
            client.finishInput()
            // Each answer begins the silence anew.
            for number in 0..<4 {
                try await Task.sleep(for: .milliseconds(300))
                let before = last
                last = .now
                // Refused where nobody is any more.
                try? peer.send("\(number)")
                try await eventually { client.ending != nil || client.output.bytes.count > number }
                if client.output.bytes.count <= number, ContinuousClock.now - before > .seconds(1) { throw TooSlow() }
                try await client.output.begins(with: String("0123".prefix(number + 1)))
            }
            #expect(try await client.end() == 0)
            #expect(ContinuousClock.now - last >= .milliseconds(990))
            #expect(client.output.text == "0123")
        }
    }

    @Test func anEmptyInputSendsNothingAndEnds() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        let client = try await pier(
            "connect", "udp://127.0.0.1:\(peer.port)", "--linger", "50ms", input: .file("/dev/null"))
        #expect(client.status == 0 && client.output.isEmpty && client.errors.isEmpty)
        #expect(!peer.hasNews())
    }

    @Test func aTerminalGetsAnswersEscaped() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        let terminal = try Terminal()
        let screen = terminal.gather()
        try await running(
            "connect", "udp://127.0.0.1:\(peer.port)", "--linger", "50ms", output: .descriptor(terminal.program)
        ) { client in
            client.write("hello")
            _ = try peer.receiveFirst()
            try peer.send(Array("a\u{1b}]0;x\u{7}b\u{202e}c\td\r\ne\n".utf8) + [0xff, 0x0a])
            try await screen.begins(with: "a\\x1b]0;x\\x07b\\u{202e}c\td\r\ne\n\\xff\n")
            client.finishInput()
            #expect(try await client.end() == 0)
        }
    }

    @Test(arguments: ["full", "half", "send"])
    func whereNobodyIsItFailsAndSaysWhatToDo(duplex: String) async throws {
        let client = try await pier(
            "connect", "udp://127.0.0.1:\(try freeUDPPort())", "--duplex", duplex, saying: "hello\n")
        #expect(client.status == 1)
        let sentence = client.errors
        #expect(sentence.hasPrefix("pier: ") && sentence.count { $0 == "\n" } == 1, "\(sentence)")
        #expect(sentence.contains("refused") && sentence.contains("start the server first"), "\(sentence)")
    }

    @Test func aUnixPathWhereNobodyIsIsAFailureToo() async throws {
        let path = temporaryPath("sock")
        let missing = try await pier("connect", "unix-dgram://\(path)", saying: "hello\n")
        #expect(missing.status == 1)
        expectOneSentence(missing, path)
        // Bound once, and its owner has gone.
        let stale = temporaryPath("stale")
        defer { unlink(stale) }
        do {
            let owner = try DatagramPeer(boundToPath: path)
            #expect(rename(path, stale) == 0)
            // Its owner is there and says nothing: that is no failure.
            let silent = try await pier("connect", "unix-dgram://\(stale)", "--linger", "50ms", saying: "hello\n")
            #expect(silent.status == 0 && silent.output.isEmpty, "\(silent.errors)")
            #expect(try owner.receive() == Array("hello\n".utf8))
        }
        let refused = try await pier("connect", "unix-dgram://\(stale)", saying: "hello\n")
        #expect(refused.status == 1)
        expectOneSentence(refused, "refused")
    }

    @Test func sendWritesNothingThatIsReceived() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await running(
            "connect", "udp://127.0.0.1:\(peer.port)", "--duplex", "send", "--linger", "300ms"
        ) { client in
            client.write("one")
            #expect(try peer.receiveFirst() == Array("one".utf8))
            try peer.send("answer")
            client.write("two")
            #expect(try peer.receive() == Array("two".utf8))
            client.finishInput()
            #expect(try await client.end() == 0)
            #expect(client.output.bytes.isEmpty && client.errors.text.isEmpty)
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func receiveSendsNothingAndEndsAtASignal(signal: CInt) async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        let port = try freeUDPPort()
        try await running(
            "connect", "udp://127.0.0.1:\(peer.port)", "--duplex", "receive", "--source", "127.0.0.1:\(port)",
            "--linger", "300ms", "--grace", "1m", "-v"
        ) { client in
            client.write("never sent")
            try await client.errors.line(with: "connected to 127.0.0.1:\(peer.port) from 127.0.0.1:\(port)")
            try withUDPAddress("127.0.0.1", port) { _ = try valid(connect(peer.descriptor, $0, $1)) }
            try peer.send("news")
            try await client.output.begins(with: "news")
            client.send(signal)
            #expect(try await client.end() == -signal)
            #expect(client.output.text == "news")
            #expect(!peer.hasNews())
        }
    }

    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"))
    func theFamilyIsChosen() async throws {
        try await inNamespace { namespace in
            try namespace.hosts("127.0.0.1 both\n::1 both\n")
            let here = namespace.launcher
            try await servingDatagrams(at: ["udp://[::1]:8520"], launcher: here) { server in
                let six = try await connectingPatiently(
                    "udp://both:8520", "-6", linger: .milliseconds(100), saying: "six", launcher: here,
                    isAnswered: { $0.output == "six" })
                #expect(six.status == 0 && six.output == "six", "\(six.errors)")
                let four = try await pier("connect", "udp://both:8520", "-4", launcher: here, saying: "four")
                #expect(four.status == 1 && four.errors.contains("refused"), "\(four.errors)")
                try await server.end()
                #expect(
                    server.program.output.lines.allSatisfy { $0.hasSuffix("-->six") }, "\(server.program.output.text)")
            }
        }
    }

    @Test func theSourceIsChosen() async throws {
        try await servingDatagrams { server in
            let client = try await connectingPatiently(
                server.places[0], "--source", "127.0.0.9", linger: .milliseconds(100), saying: "hello",
                isAnswered: { $0.output == "hello" })
            #expect(client.status == 0 && client.output == "hello", "\(client.errors)")
            try await server.program.output.line(with: "127.0.0.9:")
        }
    }
}
