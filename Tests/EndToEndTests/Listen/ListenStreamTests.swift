import SystemPackage
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What `listen` tells and how it treats standard streams, signals, paths and wrong words: lines 4 to 12 of the contract.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListenStreamTests {
    @Test(arguments: Wire.allCases)
    func eventsTellEverything(wire: Wire) async throws {
        try await listening(wire, ["--events", "json"]) { host in
            let client = try host.client()
            try client.send("hello")
            try await host.program.output.begins(with: "hello")
            host.program.write("worlds")
            #expect(try client.receive(6).count == 6)
            host.program.finishInput()
            #expect(try client.receiveText() == "")
            client.finish()
            #expect(try await host.program.end() == 0)
            let place = wire == .tcp ? "tcp://\(host.place)" : "unix://\(host.path)"
            let name = wire == .tcp ? "127.0.0.1:\(localPort(of: client.descriptor))" : "unix(pid=\(getpid()))"
            let who = "connection=1 peer=\(name)"
            #expect(
                try await Events.checked(host.program.errors.bytes) == [
                    "listening endpoint=\(place)", "accepted \(who) endpoint=\(place)", "received \(who) bytes=5",
                    "sent \(who) bytes=6", "finished \(who) by=self", "finished \(who) by=peer",
                    "closed \(who) received=5 sent=6 messages=1",
                    "totals clients=1 received=5 sent=6 messages=1 errors=0",
                ])
        }
    }

    @Test(arguments: Wire.allCases)
    func aResetIsAnEventOfItsOwn(wire: Wire) async throws {
        for keeps in [false, true] {
            try await listening(wire, ["--events", "json"] + (keeps ? ["--keep"] : [])) { host in
                host.program.write("unread")
                do {
                    let client = try host.client()
                    #expect(client.hasNews(within: 60000))
                    client.resetAtClose()
                }
                try await host.program.errors.line(with: "\"closed\"")
                if keeps { host.program.send(SIGTERM) }
                #expect(try await host.program.end() == (keeps ? 0 : 1))
                let names = try await Events.checked(host.program.errors.bytes).compactMap {
                    $0.split(separator: " ").first.map(String.init)
                }
                let end = keeps ? ["totals"] : ["error", "totals"]
                #expect(names == ["listening", "accepted", "sent", "reset", "closed"] + end, "\(names)")
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func bytesOfEveryValueGoToAPipeAsTheyAre(wire: Wire) async throws {
        let sent = (0...255).map { UInt8($0) } + randomBytes(100_000) + [0x0d, 0x0a, 0x9b, 0xff, 0xc3]
        try await listening(wire, input: .file("/dev/null")) { host in
            let client = try host.client()
            try client.send(sent)
            client.finish()
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.bytes == sent)
        }
    }

    @Test(arguments: Wire.allCases)
    func aTerminalIsReadByLinesAndGetsWhatComesEscaped(wire: Wire) async throws {
        let terminal = try Terminal()
        let screen = terminal.gather()
        try await listening(
            wire, input: .descriptor(terminal.program), output: .descriptor(terminal.program)
        ) { host in
            let client = try host.client()
            terminal.type("hello\n")
            #expect(try client.receive(6) == Array("hello\n".utf8))
            try client.send(Array("a\u{1b}]0;x\u{7}b\u{202e}c\td\r\ne\rf\n".utf8) + [0xff, 0x0a])
            try await screen.begins(with: "a\\x1b]0;x\\x07b\\u{202e}c\td\r\ne\\rf\n\\xff\n")
            terminal.typeEnd()
            #expect(try client.receiveText() == "")
            client.finish()
            #expect(try await host.program.end() == 0)
        }
    }

    private static let languages: [([String: String], String, String)] = [
        ([:], "received-->", "reply-->"), (["LANG": "zh_CN.UTF-8"], "已收到信息-->", "已收到回应-->"),
    ]

    @Test(arguments: languages)
    func halfDuplexIsTheTutorialsDialogue(locale: [String: String], received: String, reply: String) async throws {
        try await listening(.tcp, ["--duplex", "half"], environment: locale) { host in
            try await running(
                "connect", host.place, "--duplex", "half", environment: locale
            ) { client in
                client.write("hello,world!\n")
                try await host.program.output.begins(with: "\(received)hello,world!\n--->")
                host.program.write("\nwhat?\n")
                try await client.output.begins(with: "--->\(reply)what?\n--->")
                client.finishInput()
                host.program.finishInput()
                #expect(try await client.end() == 0)
                #expect(try await host.program.end() == 0)
                #expect(host.program.output.text == "\(received)hello,world!\n--->--->")
                #expect(host.program.errors.lines.count == 2, "\(host.program.errors.text)")
            }
        }
    }

    @Test(arguments: ["full", "half", "receive"])
    func aFullOutputIsAFailureAlsoWithKeep(duplex: String) async throws {
        try await listening(.tcp, ["--keep", "--duplex", duplex], output: .file("/dev/full")) { host in
            let client = try host.client()
            try client.send("news")
            let status = try await host.program.end()
            #expect(status == 1)
            expectOneSentence(Outcome(status: status, bytes: [], errors: host.program.errors.text), "output")
        }
    }

    @Test(arguments: Wire.allCases, [SIGINT, SIGTERM])
    func withoutAClientTheFirstSignalEndsIt(wire: Wire, signal: CInt) async throws {
        for more in [[], ["--keep"]] {
            try await listening(wire, ["--grace", "1h"] + more) { host in
                host.program.send(signal)
                let status = try await host.program.end()
                #expect(status == (more.isEmpty ? -signal : 0))
                #expect(wire == .tcp || access(host.path, F_OK) != 0)
            }
        }
    }

    private static let signals: [CInt] = [SIGINT, SIGTERM]

    /// A client that says nothing holds up nothing. What it gets is no end where there is a reset.
    @Test(arguments: signals, ["full", "half", "receive"])
    func aSignalEndsItThoughAClientIsThere(signal: CInt, duplex: String) async throws {
        for (wire, keeps) in [(Wire.tcp, false), (.tcp, true), (.unix, false), (.unix, true)] {
            let arguments = ["--grace", "1h", "--duplex", duplex, "-v"] + (keeps ? ["--keep"] : [])
            try await listening(wire, arguments) { host in
                let client = try host.client()
                try await host.program.errors.line(with: " accepted on ")
                host.program.send(signal)
                #expect(try await host.program.end() == -signal)
                if wire == .tcp { #expect(throws: Errno.connectionReset) { try client.receiveText() } }
                #expect(wire == .tcp || access(host.path, F_OK) != 0)
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func nobodyInTimeIsATimeOut(wire: Wire) async throws {
        try await listening(wire, ["--timeout", "50ms"]) { host in
            let status = try await host.program.end()
            #expect(status == 3)
            #expect(host.program.errors.text.contains("--timeout"), "\(host.program.errors.text)")
            #expect(wire == .tcp || access(host.path, F_OK) != 0)
        }
        // It is the first client's only.
        try await listening(wire, ["--keep", "--timeout", "2s", "--linger", "1ms"]) { host in
            let first = try host.client()
            first.finish()
            #expect(try first.receiveText() == "")
            try await Task.sleep(for: .seconds(2.5))
            let second = try host.client()
            second.finish()
            #expect(try second.receiveText() == "")
        }
    }

    @Test func everyAddressIsToldToBePublic() async throws {
        try await running("listen", ":0") { host in
            #expect(try await host.errors.line(with: "warning").contains("public"))
            let port = try await listeningPort(of: host)
            let client = try Peer(port: port)
            host.write("hello")
            #expect(try client.receive(5) == Array("hello".utf8))
        }
    }

    @Test func aStalePathIsTakenOverAndALiveOneIsRefused() async throws {
        let path = temporaryPath("sock")
        try await running("listen", path) { host in
            try await host.errors.line(with: "listening")
            let second = try await pier("listen", path)
            #expect(second.status == 1)
            expectOneSentence(second, path)
            // The second one's look is a client like any other, and it has gone.
            host.send(SIGKILL)
            _ = try await host.end()
        }
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            server.send(SIGKILL)
            #expect(try await server.end() == -9)
        }
        try await running("listen", path) { host in
            try await host.errors.line(with: "listening")
            var status = stat()
            #expect(lstat(path, &status) == 0 && status.st_mode == S_IFSOCK | 0o600)
            host.send(SIGTERM)
            #expect(try await host.end() == -SIGTERM)
        }
        #expect(access(path, F_OK) != 0)
    }

    @Test(arguments: [
        ([], "endpoint"), (["nosuch.invalid:80"], "localhost"), (["-"], "pier listen joins to something else"),
        (["127.0.0.1:0?backlog=0"], "above 0"), (["127.0.0.1:0?kep=true"], "keep"),
        (["127.0.0.1:0?keep=yes"], "true or false"), (["127.0.0.1:0", "--timeout", "5d"], "1m30s"),
        (["127.0.0.1:0", "--idle-timeout", "5d"], "1m30s"), (["127.0.0.1:0", "--duplex", "both"], "half"),
        (["127.0.0.1:0", "127.0.0.1:0"], "127.0.0.1:0"), (["tls://127.0.0.1:0"], "tls"),
    ])
    func wrongWordsAreUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier, "listen"] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    @Test func aPortInUseIsAFailure() async throws {
        try await listening(.tcp) { host in
            let second = try await pier("listen", host.place)
            #expect(second.status == 1)
            expectOneSentence(second, "choose another port")
        }
    }
}
