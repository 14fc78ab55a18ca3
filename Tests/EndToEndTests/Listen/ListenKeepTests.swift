import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whom `listen` joins: the first client, or with `--keep` one after another; and who gets the input.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListenKeepTests {
    @Test(arguments: Wire.allCases)
    func aSecondClientIsRefusedAndThePathIsGone(wire: Wire) async throws {
        try await listening(wire) { host in
            let client = try host.client()
            try client.send("hello")
            try await host.program.output.begins(with: "hello")
            #expect(throws: (any Error).self) { try host.client() }
            #expect(wire == .tcp || access(host.path, F_OK) != 0)
            client.finish()
            host.program.finishInput()
            #expect(try await host.program.end() == 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func clientsAreJoinedOneAfterAnotherAndShareTheInput(wire: Wire) async throws {
        try await listening(wire, ["--keep", "--linger", "10ms"]) { host in
            for word in ["one", "two"] {
                let client = try host.client()
                host.program.write(word)
                #expect(try client.receive(3) == Array(word.utf8))
                try client.send(word)
                client.finish()
                // Its end, as the input has nothing more for it.
                #expect(try client.receiveText() == "")
            }
            host.program.send(SIGTERM)
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "onetwo")
            #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
            #expect(wire == .tcp || access(host.path, F_OK) != 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func whileOneIsJoinedOthersQueue(wire: Wire) async throws {
        try await listening(wire, ["--keep", "--linger", "10ms"]) { host in
            let first = try host.client()
            try first.send("1")
            try await host.program.output.begins(with: "1")
            let others = try (2...4).map { number in
                let other = try host.client()
                try other.send("\(number)")
                other.finish()
                return other
            }
            host.program.write("for the first")
            #expect(try first.receive(13).count == 13)
            #expect(host.program.output.text == "1")
            first.finish()
            for other in others { #expect(try other.receiveText() == "") }
            try await host.program.output.begins(with: "1234")
        }
    }

    @Test(arguments: Wire.allCases)
    func whoComesAfterTheInputsEndHearsItAtOnceAndIsReceivedFrom(wire: Wire) async throws {
        try await listening(wire, ["--keep", "-v"]) { host in
            host.program.write("only")
            host.program.finishInput()
            for (number, sent) in ["only", "", ""].enumerated() {
                let client = try host.client()
                #expect(try client.receiveText() == sent)
                try client.send("\(number)")
                client.finish()
            }
            try await host.program.output.begins(with: "012")
            try await host.hasClosed(3)
            host.program.send(SIGINT)
            #expect(try await host.program.end() == 0)
        }
    }

    @Test(arguments: Wire.allCases)
    func aResetIsToldAndTheNextClientIsJoined(wire: Wire) async throws {
        try await listening(wire, ["--keep"]) { host in
            host.program.write("abc")
            do {
                let client = try host.client()
                #expect(try client.receive(2).count == 2)
                client.resetAtClose()
            }
            try await host.program.errors.line(with: "reset the connection (0 bytes received, 3 sent)")
            let next = try host.client()
            host.program.write("def")
            #expect(try next.receive(3) == Array("def".utf8))
            next.finish()
            host.program.finishInput()
            #expect(try next.receiveText() == "")
        }
    }

    /// What a client took in part can be given to nobody else; what it took nothing of is the next one's.
    @Test(arguments: Wire.allCases)
    func noByteOfTheInputIsLostWithoutBeingTold(wire: Wire) async throws {
        let sent = randomBytes(20_000_000)
        try await withFile(sent) { file in
            try await listening(wire, ["--keep", "--events", "json"], input: .file(file)) { host in
                do {
                    let client = try host.client()
                    #expect(try client.receive(100_000) == Array(sent[..<100_000]))
                    // The kernel's buffers are full, and a send waits in the middle of a piece.
                    try await eventually { processState(of: host.program.pid) == "S" }
                    client.resetAtClose()
                }
                let next = try host.client()
                let rest = try next.receive(.max)
                next.finish()
                try await host.program.errors.line(with: "\"event\":\"closed\",\"connection\":2")
                host.program.send(SIGTERM)
                #expect(try await host.program.end() == 0)
                let told = try await Events.checked(host.program.errors.bytes)
                let unsent = told.compactMap { $0.firstMatch(of: /unsent=(\d+)/).flatMap { Int($0.1) } }.reduce(0, +)
                let taken = told.compactMap { $0.firstMatch(of: /closed connection=1 .* sent=(\d+)/) }
                let whole = try #require(taken.first.flatMap { Int($0.1) })
                // The end of the input is the end of what the next one got, and nothing is missing before it but the
                // piece that was under way.
                #expect(rest == Array(sent.suffix(rest.count)))
                let lost = sent.count - whole - rest.count
                #expect(lost == 0 ? unsent == 0 : lost <= 65536 && unsent > 0 && unsent <= lost, "\(lost) \(unsent)")
            }
        }
    }

    @Test func aPieceThatWasNotSentAtAllIsTheNextClients() async throws {
        // A client that is gone without a word of it is found when the second piece is sent.
        try await listening(.unix, ["--keep", "--linger", "1h"]) { host in
            do {
                let client = try host.client()
                client.finish()
                try await host.program.output.begins(with: "")
            }
            // Its close is there before anything is sent.
            host.program.write("for whom it may concern")
            let next = try host.client()
            #expect(try next.receive(23) == Array("for whom it may concern".utf8))
            #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
        }
    }

    @Test(arguments: Wire.allCases)
    func anIdleClientIsATimeOutAndTheNextIsJoined(wire: Wire) async throws {
        try await listening(wire, ["--idle-timeout", "50ms"]) { host in
            let client = try host.client()
            #expect(client.hasNews(within: 60000))
            #expect(try await host.program.end() == 3)
            #expect(host.program.errors.text.contains("--idle-timeout"), "\(host.program.errors.text)")
        }
        try await listening(wire, ["--keep", "--idle-timeout", "50ms"]) { host in
            for _ in 0..<2 {
                let client = try host.client()
                #expect(client.hasNews(within: 60000))
            }
            #expect(host.program.ending == nil)
        }
    }

    /// Bytes one way are no silence, be the other way as silent as it likes.
    @Test(arguments: Wire.allCases)
    func whoOnlyListensIsNotIdle(wire: Wire) async throws {
        try await listening(wire, ["--idle-timeout", "2s"]) { host in
            let client = try host.client()
            let end = ContinuousClock.now + .seconds(5)
            while ContinuousClock.now < end {
                host.program.write("word")
                #expect(try client.receive(4).count == 4)
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(host.program.ending == nil)
        }
    }
}
