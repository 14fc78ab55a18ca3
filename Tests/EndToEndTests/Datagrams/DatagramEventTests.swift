import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `--events json` with datagrams, read by another program, against what is documented.
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Place.has("python3"), "python3 is not installed"))
struct DatagramEventTests {
    @Test func withTasksASenderIsAConversation() async throws {
        let path = temporaryPath("sock")
        try await servingDatagrams(at: ["udp://127.0.0.1:0", "unix-dgram://\(path)"], "--events", "json") { server in
            let (one, other) = (try server.sender(), try server.sender(to: 1))
            #expect(try one.ask("hello") == "hello")
            #expect(try one.ask("") == "")
            #expect(try other.ask("worlds") == "worlds")
            try await server.end()
            let events = try await Events.checked(server.program.errors.bytes)
            let first = "connection=1 peer=\(one.name)"
            let second = "connection=2 peer=\(other.name)"
            #expect(
                Set(events.prefix(2)) == [
                    "listening endpoint=\(server.places[0]) service=echo",
                    "listening endpoint=unix-dgram://\(path) service=echo",
                ])
            #expect(
                events.filter { $0.contains("connection=1 ") } == [
                    "accepted \(first) endpoint=\(server.places[0])", "received \(first) bytes=5",
                    "sent \(first) bytes=5",
                    "received \(first) bytes=0", "sent \(first) bytes=0",
                    "closed \(first) received=5 sent=5 messages=2",
                ])
            #expect(
                events.filter { $0.contains("connection=2 ") } == [
                    "accepted \(second) endpoint=unix-dgram://\(path)", "received \(second) bytes=6",
                    "sent \(second) bytes=6", "closed \(second) received=6 sent=6 messages=1",
                ])
            #expect(events.last == "totals clients=2 received=11 sent=11 messages=3 errors=0")
        }
    }

    @Test(arguments: ["threads", "blocking"])
    func withoutTasksADatagramIsAConversation(model: String) async throws {
        try await servingDatagrams("echo", "--events", "json", "--model", model) { server in
            let sender = try server.sender()
            #expect(try sender.ask("hello") == "hello")
            #expect(try sender.ask("") == "")
            try await server.end()
            var expected = ["listening endpoint=\(server.places[0]) service=echo"]
            for (number, bytes) in [(1, 5), (2, 0)] {
                let name = "connection=\(number) peer=\(sender.name)"
                expected += [
                    "accepted \(name) endpoint=\(server.places[0])", "received \(name) bytes=\(bytes)",
                    "sent \(name) bytes=\(bytes)", "closed \(name) received=\(bytes) sent=\(bytes) messages=1",
                ]
            }
            expected.append("totals clients=2 received=5 sent=5 messages=2 errors=0")
            #expect(try await Events.checked(server.program.errors.bytes) == expected)
        }
    }

    @Test(arguments: models)
    func whatIsNotAnsweredHasNoSent(model: String) async throws {
        try await servingDatagrams("discard", "--events", "json", "--model", model) { server in
            try server.sender().send("hello")
            try await server.program.errors.line(with: "\"received\"")
            try await server.end()
            let events = try await Events.checked(server.program.errors.bytes)
            #expect(
                events.map { $0.prefix { $0 != " " } } == ["listening", "accepted", "received", "closed", "totals"])
            #expect(events.last == "totals clients=1 received=5 sent=0 messages=1 errors=0")
        }
    }

    @Test(arguments: ["full", "half", "send"])
    func connectTellsEverything(duplex: String) async throws {
        try await servingDatagrams { server in
            let client = try await connectingPatiently(
                server.places[0], "--events", "json", "--duplex", duplex, linger: .milliseconds(200),
                saying: "hello\n", isAnswered: { $0.errors.contains("\"received\"") })
            #expect(client.status == 0)
            let events = try await Events.checked(Array(client.errors.utf8))
            let peer = "connection=1 peer=127.0.0.1:\(server.port())"
            let count = duplex == "half" ? 5 : 6
            #expect(events.first?.hasPrefix("connected \(peer) local=127.0.0.1:") == true, "\(events)")
            #expect(events.contains("sent \(peer) bytes=\(count)"))
            #expect(events.contains("received \(peer) bytes=\(count)"))
            #expect(events.contains("closed \(peer) received=\(count) sent=\(count) messages=1"), "\(events)")
            #expect(events.last == "totals clients=1 received=\(count) sent=\(count) messages=1 errors=0")
        }
    }

    @Test func aRefusalIsAnEvent() async throws {
        let client = try await pier(
            "connect", "udp://127.0.0.1:\(try freeUDPPort())", "--events", "json", saying: "hello\n")
        #expect(client.status == 1)
        let events = try await Events.checked(Array(client.errors.utf8))
        #expect(
            events.contains { $0.hasPrefix("error ") && $0.hasSuffix("cause=system errno=111 status=1") }, "\(events)")
        #expect(events.last?.hasSuffix("errors=1") == true, "\(events)")
    }

    @Test func verboseTellsOfSendersInProse() async throws {
        try await servingDatagrams("echo", "-v") { server in
            let sender = try server.sender()
            #expect(try sender.ask("hello") == "hello")
            try await server.program.errors.line(with: "\(sender.name) accepted on \(server.places[0])")
            try await server.end()
            let lines = server.program.errors.lines
            let closed = "\(sender.name) closed: 5 bytes received in 1 messages, 5 sent, in "
            #expect(lines.contains { $0.hasPrefix(closed) }, "\(lines)")
            #expect(
                lines.last?.hasPrefix("totals: 1 clients, 5 bytes received in 1 messages, 5 sent, 0 errors, in ")
                    == true)
        }
    }
}
