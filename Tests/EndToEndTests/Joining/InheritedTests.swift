import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `connect` and `listen` with what they were started with: `fd:` and `systemd:`.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct InheritedTests {
    // MARK: Streams

    @Test(arguments: ["connect", "listen"])
    func aConnectedSocketIsJoined(verb: String) async throws {
        for (place, names) in [("fd:3", nil), ("systemd:", [""]), ("systemd:b", ["a", "b"])] as [(String, [String]?)] {
            let host = try Host()
            let socket = Passing.connected(to: host.port)
            let sockets = names?.count == 2 ? Passing.sockets("socket.socket()", socket, names: names) : nil
            let launcher = sockets ?? Passing.sockets(socket, names: names)
            try await running(verb, place, "-v", launcher: launcher) { program in
                let peer = try await host.accept()
                program.write("question")
                program.finishInput()
                #expect(try peer.receiveText() == "question")
                try peer.send("answer")
                peer.finish()
                #expect(try await program.end() == 0, "\(program.errors.text)")
                #expect(program.output.text == "answer")
                try await program.errors.line(with: "connected to 127.0.0.1:\(host.port) from 127.0.0.1:")
            }
        }
    }

    @Test func anyDescriptorIsAStreamInTheDirectionsThatItHas() async throws {
        try await withFile(Array("held\n".utf8)) { file in
            for verb in ["connect", "listen"] {
                let read = try await pier(verb, "fd:3", launcher: Passing.shell("3<\(file)"))
                #expect(read.status == 0 && read.output == "held\n", "\(read.errors)")
            }
            let written = try await pier("connect", "fd:7", launcher: Passing.shell("7>>\(file)"), saying: "more\n")
            #expect(written.status == 0 && written.errors.isEmpty, "\(written.errors)")
            #expect(contents(of: file) == "held\nmore\n")
        }
    }

    // MARK: Listening sockets

    @Test(arguments: ["fd:3", "systemd:web", "systemd:"])
    func aListeningSocketIsListenedOn(place: String) async throws {
        for (wire, make) in [(Wire.tcp, Passing.listening), (.unix, "")] {
            let path = temporaryPath("sock")
            defer { unlink(path) }
            let launcher = Passing.sockets(wire == .tcp ? make : Passing.bound(path), names: ["web"])
            try await running("listen", place, "--keep", launcher: launcher) { program in
                let port = wire == .tcp ? try await listeningPort(of: program) : 0
                if wire == .unix { try await program.errors.line(with: "listening unix://\(path)") }
                for word in ["one", "two"] {
                    let client = wire == .tcp ? try Peer(port: port) : try Peer(path: path)
                    try client.send(word)
                    client.finish()
                    #expect(try client.receiveText() == "")
                }
                try await program.output.begins(with: "onetwo")
                program.send(SIGTERM)
                #expect(try await program.end() == 0, "\(program.errors.text)")
                // Whose it is may go on with it.
                #expect(wire == .tcp || access(path, F_OK) == 0)
            }
        }
    }

    @Test func onlyTheFirstClientIsTakenAndOthersStayWithWhoseSocketItIs() async throws {
        let path = temporaryPath("sock")
        defer { unlink(path) }
        // The launcher's parent keeps the socket: a shell could not.
        let script = """
            import os, socket, subprocess, sys
            s = socket.socket(socket.AF_UNIX)
            s.bind(sys.argv[1])
            s.listen()
            os.dup2(s.fileno(), 9)
            code = subprocess.run(sys.argv[2:], pass_fds=[9]).returncode
            client, _ = s.accept()
            client.sendall(client.recv(100))
            sys.exit(code)
            """
        try await starting(["python3", "-c", script, path, Place.pier, "listen", "fd:9"]) { program in
            try await program.errors.line(with: "listening unix://")
            let first = try Peer(path: path)
            let second = try Peer(path: path)
            try second.send("me too")
            try first.send("hello")
            first.finish()
            program.finishInput()
            #expect(try first.receiveText() == "")
            #expect(try second.receive(6) == Array("me too".utf8))
            #expect(try await program.end() == 0)
            #expect(program.output.text == "hello")
        }
    }

    /// Who made it said how long its queue is; only who asks for another length changes that.
    @Test(arguments: [["listen"], ["serve", "echo"], ["relay"]])
    func theQueueOfAListeningSocketIsAsLongAsAsked(verb: [String]) async throws {
        for (place, flags, length) in [
            ("fd:3", ["--backlog", "5"], "5"), ("fd:3?backlog=6", ["--backlog", "5"], "6"), ("fd:3", [], nil),
        ] as [(String, [String], String?)] {
            let target = verb == ["relay"] ? ["127.0.0.1:1"] : []
            let launcher = Passing.sockets(Passing.listening)
            try await starting(launcher + [Place.pier] + verb + [place] + target + flags + ["--trace"]) { program in
                _ = try await listeningPort(of: program)
                program.send(SIGINT)
                #expect(try await program.end() == (verb == ["listen"] ? -SIGINT : 0), "\(program.errors.text)")
                let set = program.errors.lines.filter { $0.contains("clients queue until they are accepted") }
                #expect(set.count == (length == nil ? 0 : 1), "\(program.errors.text)")
                #expect(set.allSatisfy { $0.contains("up to \(length ?? "") clients") }, "\(set)")
            }
        }
    }

    @Test func aSignalEndsTheWaitForAClient() async throws {
        try await running("listen", "fd:3", launcher: Passing.sockets(Passing.listening)) { program in
            _ = try await listeningPort(of: program)
            program.send(SIGINT)
            #expect(try await program.end() == -SIGINT)
        }
    }

    /// As a service manager starts it: when the first client is there.
    @Test(.enabled(if: EndToEndTests.Place.has("systemd-socket-activate"), "systemd is not installed"))
    func aServiceManagerMayListenForIt() async throws {
        for place in ["systemd:", "systemd:web"] {
            let port = try freePort()
            let words = ["systemd-socket-activate", "-l", "127.0.0.1:\(port)", "--fdname", "web"]
            try await starting(words + [EndToEndTests.Place.pier, "listen", place]) { program in
                try await program.errors.line(with: "Listening on")
                let client = try Peer(port: port)
                try client.send("hello")
                client.finish()
                program.finishInput()
                #expect(try client.receiveText() == "")
                #expect(try await program.end() == 0, "\(program.errors.text)")
                #expect(program.output.text == "hello")
            }
        }
    }

    // MARK: Datagrams

    @Test(arguments: ["fd:3", "systemd:news"])
    func aDatagramSocketIsListenedOn(place: String) async throws {
        let launcher = Passing.sockets(Passing.datagrams, names: ["news"])
        try await running("listen", place, "--linger", "100ms", launcher: launcher) { program in
            let line = try await program.errors.line(with: "listening udp://")
            let peer = try DatagramPeer(port: try #require(UInt16(line.split(separator: ":").last ?? "")))
            try peer.send("hello")
            try await program.output.begins(with: "hello")
            program.write("world")
            #expect(try peer.receive() == Array("world".utf8))
            program.finishInput()
            #expect(try await program.end() == 0, "\(program.errors.text)")
        }
    }

    @Test(arguments: ["connect", "listen"])
    func aConnectedDatagramSocketIsJoined(verb: String) async throws {
        try await running("serve", "echo", "udp://127.0.0.1:0", input: .file("/dev/null")) { server in
            let line = try await server.errors.line(with: "listening udp://")
            let port = try #require(UInt16(line.split(separator: ":").last ?? ""))
            let launcher = Passing.sockets(Passing.datagrams(to: port))
            try await running(verb, "fd:3", "--linger", "300ms", launcher: launcher) { program in
                program.write("hello")
                try await program.output.begins(with: "hello")
                program.finishInput()
                #expect(try await program.end() == 0, "\(program.errors.text)")
            }
        }
    }

    // MARK: What cannot be

    @Test(arguments: ["connect", "listen"])
    func aDescriptorThatIsNotThereIsAFailure(verb: String) async throws {
        // Below the numbers that the command itself comes to have, too.
        for (place, launcher) in [("fd:99", []), ("fd:3", Passing.shell("3<&-"))] {
            for flags in [[], ["--retry", "forever"]] where flags.isEmpty || verb == "connect" {
                let command = try await outcome(of: launcher + [EndToEndTests.Place.pier, verb, place] + flags)
                #expect(command.status == 1)
                expectOneSentence(command, "adopt \(place): bad file descriptor; this process was started without it")
            }
        }
    }

    @Test func aSocketThatDoesNotFitTheVerbIsUsage() async throws {
        let cases = [
            ("connect", Passing.listening, "fd:3", "use pier listen fd:3"),
            ("connect", Passing.datagrams, "fd:3", "use pier listen fd:3"),
            ("listen --keep", Passing.connected(to: 0), "fd:3", "leave --keep out"),
            ("listen --bytes 5", Passing.datagrams, "fd:3", "--bytes is for streams"),
            ("connect", Passing.listening, "systemd:other", "no socket of this name was passed on; there are web"),
        ]
        let host = try Host()
        for (words, make, place, part) in cases {
            let socket = make == Passing.connected(to: 0) ? Passing.connected(to: host.port) : make
            let command = try await outcome(
                of: Passing.sockets(socket, names: ["web"]) + [EndToEndTests.Place.pier]
                    + words.split(separator: " ").map(String.init) + [place])
            #expect(command.status == 2, "\(words) \(place)")
            expectOneSentence(command, part)
        }
    }

    @Test(arguments: ["connect", "listen"])
    func ofTheServiceManagersSocketsOneIsNeeded(verb: String) async throws {
        let none = try await pier(verb, "systemd:")
        #expect(none.status == 2)
        expectOneSentence(none, "has passed on no sockets")
        let launcher = Passing.sockets(Passing.listening, Passing.listening, names: ["web", "web"])
        let two = try await pier(verb, "systemd:web", launcher: launcher)
        #expect(two.status == 2)
        expectOneSentence(two, "2 sockets have this name, and one is needed here")
    }

    @Test(arguments: ["connect", "listen"])
    func standardStreamsAreJoinedAlready(verb: String) async throws {
        for place in ["-", "fd:0", "fd:1", "fd:2"] {
            let command = try await pier(verb, place)
            #expect(command.status == 2)
            expectOneSentence(command, "pier \(verb) joins to something else")
        }
    }
}
