import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How a conversation ends: lines 1 to 3 of the contract.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct EndingTests {
    @Test func theEndOfInputFinishesSendingAndReadingGoesOn() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)") { client in
            client.write("question")
            client.finishInput()
            let peer = try await host.accept()
            // Only at the end of what it is sent does this peer answer.
            #expect(try peer.receiveText() == "question")
            try peer.send("a late ")
            try await client.output.begins(with: "a late ")
            try peer.send("answer")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(client.output.text == "a late answer")
            #expect(client.errors.text.isEmpty)
        }
    }

    @Test(arguments: ["full", "half", "receive"])
    func thePeersEndWritesEverythingOutAndExitsZero(duplex: String) async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", duplex) { client in
            client.write("question\n")
            let peer = try await host.accept()
            if duplex != "receive" { #expect(try peer.receive(8) == Array("question".utf8)) }
            let answer = String(repeating: "0123456789abcdef", count: duplex == "half" ? 4 : 65536)
            try peer.send(answer)
            peer.finish()
            if duplex == "half" { try await client.output.begins(with: "--->reply-->") }
            if duplex != "receive" { client.finishInput() }
            #expect(try await client.end() == 0, "\(client.errors.text)")
            let shown = client.output.text
            #expect(duplex == "half" ? shown.hasPrefix("--->reply-->\(answer)\n") : shown == answer)
        }
    }

    @Test func aResetWhileTheInputStillFlowsIsNoEnd() async throws {
        for _ in 0..<20 {
            let host = try Host()
            try await running("connect", "127.0.0.1:\(host.port)", input: .file("/dev/zero")) { client in
                let peer = try await host.accept()
                _ = try peer.receive(4096)
                try peer.send("my last words")
                peer.resetAtClose()
                withExtendedLifetime(peer) {}
                _ = consume peer
                #expect(try await client.end() == 1)
                #expect(client.errors.text.contains("reset"), "\(client.errors.text)")
            }
        }
    }

    @Test func inputThatWasNotSentIsSpokenOf() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", input: .file("/dev/zero")) { client in
            do {
                let peer = try await host.accept()
                try peer.send("enough")
                peer.finish()
                try await client.output.begins(with: "enough")
            }
            #expect(try await client.end() == 1)
            #expect(client.output.text == "enough")
            #expect(client.errors.text.contains("the peer ended before it had all of standard input"))
        }
    }

    @Test func aPeerThatFinishesFirstGetsAllOfTheInput() async throws {
        let host = try Host()
        let sent = randomBytes(3_000_000)
        let file = temporaryPath("bytes")
        try makeFile(file, sent)
        defer { unlink(file) }
        try await running("connect", "127.0.0.1:\(host.port)", input: .file(file)) { client in
            let peer = try await host.accept()
            peer.finish()
            #expect(try peer.receive(.max) == sent)
            #expect(try await client.end() == 0)
            #expect(client.errors.text.isEmpty)
        }
    }

    @Test func sendingOnlyDoesNotStallAgainstAServerThatAnswers() async throws {
        let file = temporaryPath("bytes")
        try makeFile(file, randomBytes(30_000_000))
        defer { unlink(file) }
        try await serving("--show", "none") { server in
            let done = try await pier(
                "connect", "127.0.0.1:\(server.port)", "--duplex", "send", input: .file(file))
            #expect(done.status == 0, "\(done.errors)")
        }
    }

    @Test func theEndOfTheAnswersEndsADialogueAndItsInputIsNotLostInSilence() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("one\ntwo\n")
            let peer = try await host.accept()
            _ = try peer.receive(3)
            peer.finish()
            #expect(try await client.end() == 1)
            #expect(client.output.text == "--->")
        }
    }

    @Test func aResetIsAnErrorThatTellsHowManyBytesWentEachWay() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)") { client in
            client.write("abc")
            client.finishInput()
            let peer = try await host.accept()
            // With the end of what it sends, it has also counted it.
            #expect(try peer.receiveText() == "abc")
            // While it is stopped both the bytes and the reset arrive; the bytes must come out all the same.
            client.send(SIGSTOP)
            try peer.send("seven77")
            try peer.resetNow()
            client.send(SIGCONT)
            #expect(try await client.end() == 1)
            #expect(client.output.text == "seven77")
            let lines = client.errors.lines
            #expect(lines.count == 1)
            #expect(lines.first?.contains("reset") == true, "\(lines)")
            #expect(lines.first?.contains("7 bytes received, 3 sent") == true, "\(lines)")
        }
    }

    @Test func aResetEndsADialogueWithOneAsItsExitCode() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("abc\n")
            let peer = try await host.accept()
            #expect(try peer.receive(3) == Array("abc".utf8))
            try peer.resetNow()
            #expect(try await client.end() == 1)
            #expect(client.errors.lines.count == 1 && client.errors.text.contains("reset"), "\(client.errors.text)")
        }
    }

    @Test func sendingOnlyEndsWhenAllIsAcknowledgedThoughThePeerStays() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "send") { client in
            client.write("all of it")
            client.finishInput()
            let peer = try await host.accept()
            #expect(try await client.end() == 0)
            #expect(try peer.receiveText() == "all of it")
        }
    }

    @Test func sendingOnlyNeverResetsWhatItSent() async throws {
        let (sent, path) = (randomBytes(3_000_000), temporaryPath("in"))
        try makeFile(path, sent)
        defer { unlink(path) }
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "send", input: .file(path)) { client in
            let peer = try await host.accept()
            // Closing with this unread would be a reset, which destroys what is on its way.
            try peer.send("words that nobody asked for")
            #expect(try peer.receive(.max) == sent)
            #expect(try await client.end() == 0, "\(client.errors.text)")
            #expect(client.output.bytes.isEmpty)
        }
    }

    @Test func receivingOnlySendsNothingOfItsInput() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "receive") { client in
            client.write("not sent")
            let peer = try await host.accept()
            try peer.send("news")
            peer.finish()
            #expect(try peer.receiveText() == "")
            #expect(try await client.end() == 0)
            #expect(client.output.text == "news")
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServedClientGetsAllBackAfterItsEndAndThenTheServersEnd(model: String) async throws {
        try await serving("--model", model, "--show", "none") { server in
            let before = server.sockets
            let client = try server.client()
            let sent = randomBytes(100_000)
            try client.send(sent)
            client.finish()
            #expect(try client.receive(.max) == sent)
            try await server.hasOnly(before)
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServedClientsResetHurtsNobodyElse(model: String) async throws {
        try await serving("--model", model, "--show", "none") { server in
            let before = server.sockets
            for _ in 0..<20 {
                let client = try server.client()
                if Bool.random() { #expect(try client.echo("hello") == "hello") }
                client.resetAtClose()
            }
            let next = try server.client()
            #expect(try next.echo("still here") == "still here")
            next.finish()
            #expect(try next.receiveText() == "")
            try await server.hasOnly(before)
        }
    }

    /// Closes a peer with a reset.
}
