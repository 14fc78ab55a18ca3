import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 10 and 12 of the contract: what standard input and output may be, and how they are treated.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct StandardStreamTests {
    @Test func bytesOfEveryValueGoToAPipeAsTheyAre() async throws {
        let path = temporaryPath("in")
        let sent =
            (0...255).map { UInt8($0) } + randomBytes(100_000) + Array("\u{1b}[2J\r\n\r\u{9b}".utf8) + [0xff, 0xc3]
        try makeFile(path, sent)
        defer { unlink(path) }
        try await serving("--show", "none") { server in
            let client = try await pier("connect", "127.0.0.1:\(server.port)", input: .file(path))
            #expect(client.bytes == sent)
            #expect(client.status == 0)
        }
    }

    @Test func aTerminalGetsThemEscapedButForLinesAndTabs() async throws {
        let host = try Host()
        let terminal = try Terminal()
        let screen = terminal.gather()
        try await running("connect", "127.0.0.1:\(host.port)", output: .descriptor(terminal.program)) { client in
            let peer = try await host.accept()
            try peer.send(Array("a\u{1b}]0;x\u{7}b\u{7f}\u{9b}\u{202e}c\td\r\ne\rf\n".utf8) + [0xff, 0x0a])
            try await screen.begins(with: "a\\x1b]0;x\\x07b\\x7f\\u{9b}\\u{202e}c\td\r\ne\\rf\n\\xff\n")
            // A character and a line's end, each cut in two.
            try peer.send([0xe2, 0x82])
            try peer.send([0xac, 0x0d])
            try peer.send([0x0a, 0xc3])
            peer.finish()
            client.finishInput()
            #expect(try await client.end() == 0)
            try await eventually { screen.text.hasSuffix("€\r\n\\xc3") }
        }
    }

    @Test func whatIsTypedAtATerminalIsSentLineByLine() async throws {
        let host = try Host()
        let terminal = try Terminal()
        let screen = terminal.gather()
        try await running(
            "connect", "127.0.0.1:\(host.port)", input: .descriptor(terminal.program),
            output: .descriptor(terminal.program)
        ) { client in
            let peer = try await host.accept()
            terminal.type("hello\n")
            #expect(try peer.receive(6) == Array("hello\n".utf8))
            try peer.send("world\n")
            try await screen.begins(with: "world\n")
            terminal.typeEnd()
            #expect(try peer.receiveText() == "")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(takesLines(terminal.program))
        }
    }

    @Test(arguments: ["full", "half"])
    func aFileAndNothingAndAClosedInputWork(duplex: String) async throws {
        let path = temporaryPath("in")
        try makeFile(path, Array("hello\n".utf8))
        defer { unlink(path) }
        let some = duplex == "full" ? "hello\n" : "--->reply-->hello\n--->"
        let none = duplex == "full" ? "" : "--->"
        try await serving { server in
            for (input, output) in [(Stream.file(path), some), (.file("/dev/null"), none), (.closed, none)] {
                let client = try await pier(
                    "connect", "127.0.0.1:\(server.port)", "--duplex", duplex, input: input)
                #expect(client.output == output, "\(input)")
                #expect(client.status == 0, "\(input): \(client.errors)")
            }
        }
    }

    enum Kind: String, CaseIterable {
        case pipe, socket, terminal
    }

    @Test(arguments: Kind.allCases, [true, false])
    func anInputThatIsSharedWorksAndItsNonBlockingIsNeverChanged(kind: Kind, isNonBlocking: Bool) async throws {
        // What the program gets is this very open file, whose flags the test can see.
        var ends: [CInt] = [-1, -1]
        var terminal: Terminal?
        switch kind {
        case .pipe:
            try uninherited {
                _ = try valid(pipe(&ends)); return ends
            }
        case .socket:
            _ = try valid(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends))
        case .terminal:
            terminal = try Terminal()
            ends = [terminal?.program ?? -1, -1]
        }
        let theirs = ends[0]
        var ours = ends[1]
        defer {
            if kind != .terminal { close(theirs) }
            if ours >= 0 { close(ours) }
        }
        let before = try valid(fcntl(theirs, F_GETFL)) & ~O_NONBLOCK | (isNonBlocking ? O_NONBLOCK : 0)
        _ = try valid(fcntl(theirs, F_SETFL, before))
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", input: .descriptor(theirs)) { client in
            let peer = try await host.accept()
            for word in ["one\n", "two\n"] {
                if let terminal { terminal.type(word) } else { write(ours, word, 4) }
                #expect(try peer.receive(4) == Array(word.utf8))
                #expect(fcntl(theirs, F_GETFL) == before)
            }
            switch kind {
            case .pipe:
                close(ours)
                ours = -1
            case .socket: shutdown(ours, CInt(SHUT_WR))
            case .terminal: terminal?.typeEnd()
            }
            #expect(try peer.receiveText() == "")
            peer.finish()
            #expect(try await client.end() == 0, "\(client.errors.text)")
            #expect(fcntl(theirs, F_GETFL) == before)
        }
    }

    @Test(arguments: ["full", "half", "receive"])
    func aFullOutputIsAFailure(duplex: String) async throws {
        let host = try Host()
        try await running(
            "connect", "127.0.0.1:\(host.port)", "--duplex", duplex, output: .file("/dev/full")
        ) { client in
            client.write("question\n")
            let peer = try? await host.accept()
            try? peer?.send("answer")
            let status = try await client.end()
            #expect(status == 1)
            expectOneSentence(Outcome(status: status, bytes: [], errors: client.errors.text), "output")
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServerWhoseOutputIsFullFails(model: String) async throws {
        try await serving("--model", model, output: .file("/dev/full")) { server in
            let client = try server.client()
            try client.send("hello")
            let status = try await server.program.end()
            #expect(status == 1)
            expectOneSentence(Outcome(status: status, bytes: [], errors: server.program.errors.text), "output")
        }
    }

    @Test(arguments: ["full", "half"])
    func anOutputWhoseReaderHasGoneEndsQuietly(duplex: String) async throws {
        let gone = try pipeWithoutReader()
        defer { close(gone) }
        let host = try Host()
        try await running(
            "connect", "127.0.0.1:\(host.port)", "--duplex", duplex, output: .descriptor(gone)
        ) { client in
            client.write("question\n")
            let peer = try? await host.accept()
            try? peer?.send("answer\n")
            // Not by SIGPIPE, and without a word.
            let status = try await client.end()
            #expect(status == 1)
            #expect(client.errors.text.isEmpty, "\(client.errors.text)")
        }
    }

    @Test func aServerWhoseOutputsReaderHasGoneEndsQuietly() async throws {
        let gone = try pipeWithoutReader()
        defer { close(gone) }
        try await serving(output: .descriptor(gone)) { server in
            try server.client().send("hello")
            #expect(try await server.program.end() == 1)
            #expect(server.program.errors.lines.count == 1, "\(server.program.errors.text)")
        }
    }

    @Test func onlyTheFirstLineIsWantedOfAnEndlessStream() async throws {
        let host = try Host()
        try await starting([
            "sh", "-c", "\"$0\" \"$@\" < /dev/null | head -n 1", Place.pier, "connect", "127.0.0.1:\(host.port)",
        ]) {
            shell in
            let peer = try await host.accept()
            let lines = Array(repeating: "a line\n", count: 1000).joined()
            while shell.ending == nil, (try? peer.send(lines)) != nil {}
            #expect(try await shell.end() == 0)
            #expect(shell.output.text == "a line\n")
            #expect(shell.errors.text.isEmpty)
        }
    }

    @Test func aClosedOutputIsAFailureWhenSomethingComes() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", output: .closed) { client in
            let peer = try await host.accept()
            try peer.send("news")
            #expect(try await client.end() == 1)
            #expect(client.errors.lines.count == 1, "\(client.errors.text)")
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServerWithoutAnyStreamServes(model: String) async throws {
        let path = temporaryPath("sock")
        try await running(
            "serve", "echo", path, "--show", "none", "--model", model, input: .closed, output: .closed, errors: .closed
        ) { server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            #expect(try Peer(path: path).echo("hello") == "hello")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    private func pipeWithoutReader() throws -> CInt {
        var ends: [CInt] = [-1, -1]
        try uninherited {
            _ = try valid(pipe(&ends)); return ends
        }
        close(ends[0])
        return ends[1]
    }
}
