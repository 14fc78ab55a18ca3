import Testing
import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 6 of the contract: `--events json`, read by another program, against what is documented.
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Place.has("python3"), "python3 is not installed"))
struct EventTests {
    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServerTellsEverythingOfItsClients(model: String) async throws {
        try await serving("--model", model, "--events", "json") { server in
            let first = try server.client()
            let peer = "peer=127.0.0.1:\(localPort(of: first.descriptor))"
            #expect(try first.echo("hello") == "hello")
            first.finish()
            #expect(try first.receiveText() == "")
            try await server.program.errors.line(with: "\"closed\",\"connection\":1")
            let other: String
            do {
                let second = try server.client()
                #expect(try second.echo("worlds") == "worlds")
                other = "peer=127.0.0.1:\(localPort(of: second.descriptor))"
                second.resetAtClose()
            }
            try await server.program.errors.line(with: "\"closed\",\"connection\":2")
            server.program.send(SIGTERM)
            #expect(try await server.program.end() == 0)
            let place = "endpoint=tcp://127.0.0.1:\(server.port)"
            #expect(
                try await Events.checked(server.program.errors.bytes) == [
                    "listening \(place) service=echo",
                    "accepted connection=1 \(peer) \(place)", "received connection=1 \(peer) bytes=5",
                    "sent connection=1 \(peer) bytes=5", "finished connection=1 \(peer) by=peer",
                    "closed connection=1 \(peer) received=5 sent=5 messages=1",
                    "accepted connection=2 \(other) \(place)", "received connection=2 \(other) bytes=6",
                    "sent connection=2 \(other) bytes=6", "reset connection=2 \(other) received=6 sent=6",
                    "closed connection=2 \(other) received=6 sent=6 messages=1",
                    "totals clients=2 received=11 sent=11 messages=2 errors=1",
                ])
        }
    }

    @Test func aSilentClientsEndIsAnErrorOfItsOwn() async throws {
        try await serving("--events", "json", "--idle-timeout", "50ms", "--show", "none") { server in
            let client = try server.client()
            #expect(throws: Errno.connectionReset) { try client.receiveText() }
            try await server.program.errors.line(with: "\"closed\"")
            server.program.send(SIGTERM)
            #expect(try await server.program.end() == 0)
            let events = try await Events.checked(server.program.errors.bytes)
            #expect(events.contains { $0.hasPrefix("error connection=1 ") && $0.contains("cause=timed-out") })
            #expect(events.last?.hasSuffix("errors=1") == true)
        }
    }

    @Test(arguments: ["full", "half", "send"])
    func connectTellsEverything(duplex: String) async throws {
        try await serving("--show", "none") { server in
            let client = try await pier(
                "connect", "127.0.0.1:\(server.port)", "--events", "json", "--duplex", duplex, saying: "hello\n")
            #expect(client.status == 0)
            let events = try await Events.checked(Array(client.errors.utf8))
            let peer = "connection=1 peer=127.0.0.1:\(server.port)"
            #expect(events.first?.hasPrefix("connected \(peer) local=127.0.0.1:") == true, "\(events)")
            let sent = duplex == "half" ? 5 : 6
            #expect(events.contains("sent \(peer) bytes=\(sent)"))
            #expect(events.contains("finished \(peer) by=self"))
            if duplex != "send" {
                #expect(events.contains("received \(peer) bytes=\(sent)"))
                #expect(events.contains("finished \(peer) by=peer"))
                #expect(events.contains("closed \(peer) received=\(sent) sent=\(sent) messages=1"))
                #expect(events.last == "totals clients=1 received=\(sent) sent=\(sent) messages=1 errors=0")
            }
        }
    }

    /// The peer's answer, and his own end, come before the system call is over that tells him of ours.
    @Test(
        .enabled("strace is not installed, or may not trace here") {
            try await outcome(of: ["strace", "-D", "-o", "/dev/null", "true"]).status == 0
        })
    func connectTellsItsOwnEndBeforeThePeersThatAnswersIt() async throws {
        let slowly = [
            "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=shutdown", "-e",
            "inject=shutdown:delay_exit=300000",
        ]
        try await serving("--show", "none") { server in
            let client = try await pier(
                "connect", "127.0.0.1:\(server.port)", "--events", "json", launcher: slowly, saying: "hello\n")
            #expect(client.status == 0)
            let events = try await Events.checked(Array(client.errors.utf8))
            #expect(events.filter { $0.hasPrefix("finished ") }.map { $0.suffix(4) } == ["self", "peer"], "\(events)")
        }
    }

    @Test func aFailureThatEndsTheCommandIsAnEventAndWrongWordsAreProse() async throws {
        let refused = try await pier("connect", "127.0.0.1:\(try freePort())", "--events", "json")
        #expect(refused.status == 1)
        let events = try await Events.checked(Array(refused.errors.utf8))
        #expect(
            events.count == 2 && events[0].hasSuffix("operation=connect cause=system errno=111 status=1"), "\(events)")
        #expect(events.last == "totals clients=0 received=0 sent=0 messages=0 errors=1")
        try await serving { server in
            let second = try await pier("serve", "echo", "127.0.0.1:\(server.port)", "--events", "json")
            #expect(second.status == 1)
            let events = try await Events.checked(Array(second.errors.utf8))
            #expect(events.first?.hasSuffix("operation=bind cause=system errno=98 status=1") == true, "\(events)")
        }
        for endpoint in ["nonsense", "127.0.0.1:0"] {
            let wrong = try await pier("connect", endpoint, "--events", "json")
            #expect(wrong.status == 2)
            #expect(wrong.errors.hasPrefix("pier: bad endpoint"))
        }
    }

    @Test func aResetEndsConnectWithAnEvent() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--events", "json") { client in
            do {
                let peer = try await host.accept()
                try peer.send("hello")
                try await client.output.begins(with: "hello")
                peer.resetAtClose()
            }
            #expect(try await client.end() == 1)
            let events = try await Events.checked(client.errors.bytes)
            #expect(events.contains("reset connection=1 peer=127.0.0.1:\(host.port) received=5 sent=0"))
            #expect(events.contains { $0.hasPrefix("error ") && $0.hasSuffix("cause=system errno=104 status=1") })
        }
    }

    @Test(arguments: ["full", "send"])
    func aResetThatBothDirectionsMeetIsToldOnceAndNothingComesAfterTheEnd(duplex: String) async throws {
        let host = try Host()
        let arguments = ["connect", "127.0.0.1:\(host.port)", "--events", "json", "--duplex", duplex]
        try await starting([Place.pier] + arguments, input: .file("/dev/zero")) { client in
            do {
                let peer = try await host.accept()
                #expect(try peer.receive(100_000).count == 100_000)
                peer.resetAtClose()
            }
            #expect(try await client.end() == 1)
            let names = try await Events.checked(client.errors.bytes).compactMap { $0.split(separator: " ").first }
            #expect(names.suffix(4) == ["reset", "closed", "error", "totals"], "\(names.suffix(6))")
            #expect(names.count { $0 == "reset" } == 1)
        }
    }

    @Test func warningsAndTheTraceAreEvents() async throws {
        try await running("serve", "echo", ":0", "--events", "json", "--trace") { server in
            try await server.errors.line(with: "\"warning\"")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
            let names = try await Events.checked(server.errors.bytes).compactMap { $0.split(separator: " ").first }
            #expect(Set(names) == ["trace", "listening", "warning", "totals"])
        }
    }

    @Test func aPeersNameOfQuotesAndControlsIsWrittenSafely() async throws {
        let path = temporaryPath("sock")
        try await serving("--events", "json", path) { server in
            let name = temporaryPath("\\\"\\n\\x01\\x7f\\u0085\\u202e\\\\.client")
            let client = """
                import socket, os
                name = "\(name)"
                client = socket.socket(socket.AF_UNIX)
                client.bind(name)
                os.unlink(name)
                client.connect("\(path)")
                client.send(b"hello")
                client.recv(10)
                """
            #expect(try await outcome(of: ["python3", "-c", client]).errors == "")
            try await server.program.errors.line(with: "\"closed\"")
            let events = try await Events.checked(server.program.errors.bytes)
            #expect(events.contains { $0.hasPrefix("accepted connection=1 peer=") && $0.contains(".client") })
        }
    }

    @Test func everyFieldIsDocumented() async throws {
        let script = """
            import json, re, sys
            text = open(sys.argv[1] + '/events.md').read()
            schema = json.load(open(sys.argv[1] + '/events.schema.json'))
            found = {}
            for part in re.split(r'^## ', text, flags=re.M)[1:]:
                rows = re.findall(r'^\\| `(\\w+)` \\| (\\w+) \\| ([^|]+) \\|', part, flags=re.M)
                found[part.split('\\n')[0]] = {(name, kind, when == 'always') for name, kind, when in rows}
            told = {name: {(field, rule['type'], field in shape['required'])
                for field, rule in shape['properties'].items() if field not in ('time', 'event')}
                for name, shape in schema['$defs'].items()}
            assert found == told, (found, told)
            assert [one['$ref'].split('/')[-1] for one in schema['oneOf']] == list(told)
            """
        let check = try await outcome(of: ["python3", "-c", script, Events.documentation])
        #expect(check.status == 0, "\(check.errors)")
    }

    @Test func verboseTellsInProseWhoCameAndWentAndTheTotals() async throws {
        try await serving("-v") { server in
            let client = try await pier("connect", "127.0.0.1:\(server.port)", "--verbose", saying: "hello\n")
            #expect(client.output == "hello\n")
            let lines = client.errors.split(separator: "\n").map(String.init)
            let place = "127.0.0.1:\(server.port)"
            #expect(lines.count == 3, "\(lines)")
            #expect(
                lines[0].wholeMatch(of: /connected to 127.0.0.1:\d+ from 127.0.0.1:\d+, after \d+\.\d{3} s/) != nil)
            #expect(lines[1].hasPrefix("\(place) closed: 6 bytes received in 1 messages, 6 sent, in "))
            #expect(lines[2].hasPrefix("totals: 1 clients, 6 bytes received in 1 messages, 6 sent, 0 errors, in "))
            try await server.program.errors.line(with: " accepted on tcp://\(place)")
            try await server.program.errors.line(with: " closed: 6 bytes received in 1 messages, 6 sent, in ")
            server.program.send(SIGTERM)
            #expect(try await server.program.end() == 0)
            #expect(server.program.errors.lines.last?.hasPrefix("totals: 1 clients, 6 bytes received") == true)
        }
    }
}
