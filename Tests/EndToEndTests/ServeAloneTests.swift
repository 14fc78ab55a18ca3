import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier serve` of what was there from the start: sockets that were passed on, and clients.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ServeAloneTests {
    static let models = ["tasks", "callbacks", "threads", "blocking"]

    @Test(arguments: models)
    func standardStreamsAreAClient(model: String) async throws {
        let echo = try await pier("serve", "echo", "-", "--model", model, saying: "hello")
        #expect(echo.output == "hello" && echo.status == 0 && echo.errors == "", "\(echo.errors)")
        let daytime = try await pier("serve", "daytime", "-", "--model", model, input: .file("/dev/null"))
        #expect(daytime.output.hasSuffix("-UTC\r\n") && daytime.status == 0, "\(daytime.errors)")
        let script = "\"$0\" serve chargen - --model \(model) < /dev/null | head -c 3; echo \" ${PIPESTATUS[0]}\""
        let chargen = try await outcome(of: ["bash", "-c", script, Place.pier])
        #expect(chargen.output == " !\" 1\n" && chargen.errors == "", "\(chargen.errors)")
    }

    @Test(arguments: models)
    func aProgramIsAClient(model: String) async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        let program = "exec:sh -c 'echo question; read answer; echo $answer > \(path); exit 3'"
        let server = try await pier("serve", "echo", program, "--model", model, "--events", "json")
        #expect(server.status == 1)
        #expect(server.output == "\(program) received-->question\n")
        #expect(contents(of: path) == "question\n")
        let events = try await Events.checked(Array(server.errors.utf8))
        #expect(events.first == "accepted connection=1 peer=\(program) endpoint=\(program)", "\(events)")
        #expect(
            events.contains("closed connection=1 peer=\(program) received=9 sent=9 messages=1 status=3"), "\(events)")
        #expect(events.contains("error message=\(program): it ended with status 3 status=1"), "\(events)")
    }

    /// What it leaves unread looks like a reset, and is none; how it ended counts, now and always.
    @Test(arguments: models)
    func aProgramThatLeavesItsInputUnreadEndsAsItSays(model: String) async throws {
        for code in [0, 3, 0, 3, 0, 3] as [CInt] {
            let program = "exec:sh -c 'echo hello; exit \(code)'"
            let server = try await pier("serve", "echo", program, "--model", model, "--show", "none")
            #expect(server.status == (code == 0 ? 0 : 1), "\(server.errors)")
            if code == 0 { #expect(server.errors == "") } else { expectOneSentence(server, "it ended with status 3") }
        }
        let killed = "exec:sh -c 'head -1 > /dev/null; kill -9 $$'"
        let server = try await pier("serve", "chargen", killed, "--model", model, "--show", "none")
        #expect(server.status == 1)
        expectOneSentence(server, "it ended by signal 9")
    }

    @Test func silenceIsToldByItsOwnFlag() async throws {
        for words in [["serve", "echo", "-", "--show", "none"], ["relay", "-", "exec:cat"]] {
            try await starting([Place.pier] + words + ["--idle-timeout", "100ms"]) { program in
                let status = try await program.end()
                #expect(status == 3)
                #expect(program.errors.text.hasPrefix("pier: receive -: timed out; "), "\(program.errors.text)")
                #expect(program.errors.text.contains("--idle-timeout"), "\(program.errors.text)")
            }
        }
    }

    @Test(arguments: models)
    func filesAreReadByDiscardAndWrittenByTheOthers(model: String) async throws {
        let path = temporaryPath("file")
        defer { unlink(path) }
        let daytime = try await pier("serve", "daytime", "file:\(path)", "--model", model)
        #expect(daytime.status == 0 && contents(of: path).hasSuffix("-UTC\r\n"), "\(daytime.errors)")
        let discard = try await pier("serve", "discard", "file:\(path)", "--model", model)
        #expect(discard.status == 0 && discard.output.contains("-UTC"), "\(discard.errors)")
        let full = try await pier("serve", "daytime", "file:/dev/full", "--model", model)
        #expect(full.status == 1)
        expectOneSentence(full, "no space left on device")
    }

    @Test(arguments: models, ["fd:3", "systemd:web"])
    func aConnectedSocketIsServedAsBySuperServers(model: String, endpoint: String) async throws {
        let host = try Host()
        try await running(
            "serve", "echo", endpoint, "--model", model, "--show", "none",
            launcher: Passing.sockets(Passing.connected(to: host.port), names: ["web"])
        ) { server in
            let client = try await host.accept()
            #expect(try client.echo("hello") == "hello")
            client.finish()
            #expect(try client.receiveText() == "")
            #expect(try await server.end() == 0)
            #expect(server.errors.text == "")
        }
    }

    @Test(arguments: models, ["fd:3", "systemd:web", "systemd:"])
    func aListeningSocketThatWasPassedOnIsServed(model: String, endpoint: String) async throws {
        let launcher = Passing.sockets(Passing.listening, names: ["web"])
        try await running("serve", "echo", endpoint, "--model", model, launcher: launcher) { server in
            let port = try await listeningPort(of: server)
            try await server.errors.line(with: "listening tcp://127.0.0.1:\(port)")
            for _ in 0..<2 {
                let client = try Peer(port: port)
                #expect(try client.echo("hello") == "hello")
            }
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    @Test(arguments: models)
    func othersAreServedAfterItsEnd(model: String) async throws {
        try await running("serve", "echo", "-", "127.0.0.1:0", "--model", model) { server in
            let port = try await listeningPort(of: server)
            server.write("hello")
            server.finishInput()
            try await server.output.begins(with: "hello")
            #expect(try Peer(port: port).echo("still there") == "still there")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    @Test(arguments: models)
    func aSignalEndsIt(model: String) async throws {
        for service in ["echo", "chargen"] {
            try await running("serve", service, "-", "--model", model, "--grace", "1h") { server in
                if service == "echo" { server.write("x") }
                try await eventually(patience, "its output") { !server.output.bytes.isEmpty }
                server.send(SIGTERM)
                #expect(try await server.end() == 0, "\(service): \(server.errors.text)")
            }
        }
    }

    @Test(arguments: [
        (["echo", "-", "-"], 2, "given twice"), (["echo", "-", "--show", "text"], 2, "--show none"),
        (["echo", "fd:1?show=hex"], 2, "--show none"), (["echo", "file:x"], 2, "exec:cat"),
        (["discard", "file:x?mode=write"], 2, "discard reads a file"),
        (["chargen", "file:x?mode=read"], 2, "write one"),
        (["echo", "fd:99"], 1, "fd:99: bad file descriptor"), (["discard", "file:/nosuch"], 1, "no such file"),
        (["echo", "exec:/nosuch"], 1, "run exec:/nosuch"), (["echo", "systemd:"], 2, "LISTEN_FDS"),
        (["echo", "127.0.0.1:0", "fd:0", "-"], 2, "the same descriptor"),
    ])
    func whatCannotBeServedIsSaidAtOnce(words: [String], status: CInt, part: String) async throws {
        let server = try await outcome(of: [Place.pier, "serve"] + words)
        #expect(server.status == status)
        expectOneSentence(server, part)
    }
}
