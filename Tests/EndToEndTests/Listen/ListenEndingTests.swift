import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 1 to 3 of the contract, for `listen`: how a conversation with the first client ends.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListenEndingTests {
    @Test(arguments: Wire.allCases)
    func theEndOfInputFinishesSendingAndReadingGoesOn(wire: Wire) async throws {
        try await listening(wire) { host in
            let client = try host.client()
            host.program.write("question")
            host.program.finishInput()
            // Only at the end of what it is sent does this client answer.
            #expect(try client.receiveText() == "question")
            try client.send("a late ")
            try await host.program.output.begins(with: "a late ")
            try client.send("answer")
            client.finish()
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "a late answer")
            #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
        }
    }

    /// As by `nc -N`: the client has said all before it is accepted, and wants the whole answer.
    @Test(arguments: Wire.allCases)
    func aClientThatFinishesFirstGetsAllOfTheInput(wire: Wire) async throws {
        let answer = randomBytes(3_000_000)
        try await withFile(answer) { file in
            try await listening(wire, input: .file(file)) { host in
                let client = try host.client()
                try client.send("question")
                client.finish()
                try await host.program.output.begins(with: "question")
                #expect(try client.receive(.max) == answer)
                #expect(try await host.program.end() == 0)
                #expect(host.program.output.text == "question")
                #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func anInputThatIsSilentAfterTheClientsEndEndsWithItAndIsSpokenOf(wire: Wire) async throws {
        try await listening(wire, ["--linger", "50ms"]) { host in
            let client = try host.client()
            host.program.write("one")
            #expect(try client.receive(3) == Array("one".utf8))
            client.finish()
            #expect(try await host.program.end() == 0)
            #expect(try client.receiveText() == "")
            #expect(
                host.program.errors.text.contains("the peer finished before the input did: 3 bytes were sent"),
                "\(host.program.errors.text)")
        }
    }

    @Test(arguments: Wire.allCases)
    func theInputsSilenceIsWhatEndsItNotTheClientsEnd(wire: Wire) async throws {
        try await listening(wire, ["--linger", "1h"]) { host in
            let client = try host.client()
            client.finish()
            for word in ["one", "two"] {
                host.program.write(word)
                #expect(try client.receive(3) == Array(word.utf8))
            }
            #expect(host.program.ending == nil)
            host.program.finishInput()
            #expect(try client.receiveText() == "")
            #expect(try await host.program.end() == 0)
            #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
        }
    }

    @Test(arguments: Wire.allCases)
    func aClientThatIsGoneEndsItWhileTheInputGoesOn(wire: Wire) async throws {
        try await listening(wire, input: .file("/dev/zero")) { host in
            do {
                let client = try host.client()
                client.finish()
                #expect(try client.receive(100_000).count == 100_000)
            }
            _ = try await host.program.end()
            #expect(host.program.errors.lines.count == 2, "\(host.program.errors.text)")
        }
    }

    @Test(arguments: Wire.allCases)
    func aResetIsAnErrorThatTellsHowManyBytesWentEachWay(wire: Wire) async throws {
        try await listening(wire) { host in
            host.program.write("abc")
            do {
                let client = try host.client()
                #expect(try client.receive(2).count == 2)
                try client.send("seven77")
                try await host.program.output.begins(with: "seven77")
                // Unread bytes make the close of a Unix socket a reset.
                client.resetAtClose()
            }
            #expect(try await host.program.end() == 1)
            let lines = host.program.errors.lines.dropFirst()
            #expect(lines.count == 1, "\(lines)")
            #expect(lines.last?.contains("reset the connection (7 bytes received, 3 sent)") == true, "\(lines)")
            #expect(host.program.output.text == "seven77")
        }
    }

    @Test(arguments: Wire.allCases, ["file", "/dev/null", "closed"])
    func anEmptyInputIsAnEndAtOnceAndReceivingGoesOn(wire: Wire, kind: String) async throws {
        try await withFile([]) { file in
            let input: Stream = kind == "closed" ? .closed : .file(kind == "file" ? file : kind)
            try await listening(wire, input: input) { host in
                let client = try host.client()
                #expect(try client.receiveText() == "")
                try client.send("news")
                try await host.program.output.begins(with: "news")
                client.finish()
                #expect(try await host.program.end() == 0)
                #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
            }
        }
    }

    /// Neither side's end may cut the other's bytes off, whichever comes first.
    @Test(arguments: Wire.allCases)
    func sixtyFourMegabytesGoBothWaysAtOnce(wire: Wire) async throws {
        let (one, other) = (randomBytes(64 << 20), randomBytes(64 << 20))
        let (theirs, ours) = (temporaryPath("theirs"), temporaryPath("ours"))
        defer {
            unlink(theirs)
            unlink(ours)
        }
        try await withFile(one) { one in
            try await withFile(other) { other in
                try await listening(wire, input: .file(one), output: .file(ours)) { host in
                    let client = try await pier("connect", host.place, input: .file(other), output: .file(theirs))
                    #expect(client.status == 0 && client.errors.isEmpty, "\(client.errors)")
                    #expect(try await host.program.end() == 0)
                    #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
                }
                #expect(try await areEqual(one, theirs))
                #expect(try await areEqual(other, ours))
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func sendingOnlyEndsWhenAllHasArrivedAndDropsWhatComes(wire: Wire) async throws {
        let sent = randomBytes(3_000_000)
        try await withFile(sent) { file in
            try await listening(wire, ["--duplex", "send"], input: .file(file)) { host in
                let client = try host.client()
                // Closing with this unread would be a reset, which destroys what is on its way.
                try client.send("words that nobody asked for")
                #expect(try client.receive(.max) == sent)
                // It stays, and the command ends all the same.
                #expect(try await host.program.end() == 0, "\(host.program.errors.text)")
                #expect(host.program.output.bytes.isEmpty)
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func sendingOnlyGoesOnToAClientThatHasNothingToSay(wire: Wire) async throws {
        try await listening(wire, ["--duplex", "send", "--linger", "1ms"]) { host in
            let client = try host.client()
            client.finish()
            for word in ["one", "two"] {
                host.program.write(word)
                #expect(try client.receive(3) == Array(word.utf8))
            }
            host.program.finishInput()
            #expect(try client.receiveText() == "")
            #expect(try await host.program.end() == 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func aResetEndsSendingOnlyThoughTheInputIsSilent(wire: Wire) async throws {
        try await listening(wire, ["--duplex", "send"]) { host in
            host.program.write("unread")
            do {
                let client = try host.client()
                #expect(client.hasNews(within: 60000))
                client.resetAtClose()
            }
            #expect(try await host.program.end() == 1)
            #expect(host.program.errors.text.contains("reset"), "\(host.program.errors.text)")
        }
    }

    @Test(arguments: Wire.allCases)
    func receivingOnlySendsNothingOfItsInput(wire: Wire) async throws {
        try await listening(wire, ["--duplex", "receive"]) { host in
            host.program.write("not sent")
            let client = try host.client()
            try client.send("news")
            client.finish()
            #expect(try client.receiveText() == "")
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "news")
        }
    }
}
