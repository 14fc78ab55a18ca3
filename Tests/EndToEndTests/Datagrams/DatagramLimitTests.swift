import SystemPackage
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 11 of the contract, for datagrams: who is answered, and how many are known.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramLimitTests {
    /// A sender on a port below 1024 that is free just now, which only root may have.
    private func privileged(to port: UInt16) throws -> DatagramPeer {
        for own in UInt16(990)...1010 {
            do { return try DatagramPeer(port: port, from: own) } catch Errno.addressInUse {}
        }
        return try DatagramPeer(port: port, from: 1011)
    }

    @Test(
        .enabled(if: geteuid() == 0, "ports below 1024 are root's"), arguments: models, ["echo", "chargen", "daytime"])
    func aPortBelow1024IsNeverAnswered(model: String, service: String) async throws {
        // The flag is about other machines.
        for flag in ["--verbose", "--allow-remote-datagrams"] {
            try await servingDatagrams(service, at: ["udp://127.0.0.1:0"], flag, "--model", model, "--show", "none") {
                server in
                let sender = try privileged(to: server.port())
                for _ in 0..<20 { try sender.send("hello") }
                let other = try server.sender()
                try other.send("hello")
                #expect(other.hasNews(within: 120_000))
                try await server.end()
                #expect(!sender.hasNews())
                // Told once, not for each.
                let warnings = server.program.errors.lines.filter { $0.contains("warning") }
                #expect(warnings.count == 1 && warnings[0].contains("1024"), "\(warnings)")
            }
        }
    }

    @Test func atTheLimitWhoWasSilentForLongestIsForgotten() async throws {
        try await servingDatagrams("echo", at: ["udp://127.0.0.1:0"], "--max-sessions", "2", "--events", "json") {
            server in
            let senders = try (0..<3).map { _ in try server.sender() }
            #expect(try senders[0].ask("one") == "one")
            #expect(try senders[1].ask("two") == "two")
            #expect(try senders[0].ask("more") == "more")
            #expect(try senders[2].ask("three") == "three")
            let closed = try await server.program.errors.line(with: "\"closed\"")
            #expect(closed.contains("\"connection\":2") && closed.contains(senders[1].name), "\(closed)")
            // Who was forgotten is answered like anyone new, and nobody's answers are mixed.
            for sender in senders { #expect(try sender.ask(sender.name) == sender.name) }
            try await server.end()
            #expect(server.program.errors.text.contains("\"connection\":4"))
        }
    }

    @Test func aSilentSendersSessionEndsAndABusyOnesDoesNot() async throws {
        try await withTime(.milliseconds(500)) { idle in try await aSilentSendersSessionEnds(idle) }
    }

    private func aSilentSendersSessionEnds(_ idle: Duration) async throws {
        try await servingDatagrams("echo", at: ["udp://127.0.0.1:0"], "--idle-timeout", idle.argument, "-v") { server in
            let (silent, busy) = (try server.sender(), try server.sender())
            let start = ContinuousClock.now
            #expect(try silent.ask("hello") == "hello")
            #expect(try busy.ask("still") == "still")
            var speaker = Speaker(idle: idle)
            while !server.program.errors.text.contains("\(silent.name) closed: ") {
                #expect(try speaker.says { try busy.ask("still") == "still" })
                guard ContinuousClock.now - start < patience + idle else {
                    throw Unexpected(text: server.program.errors.text)
                }
                try await Task.sleep(for: .milliseconds(20))
            }
            // Who was silent for too long himself has begun another session.
            if speaker.isTooSlow { throw TooSlow() }
            #expect(ContinuousClock.now - start >= idle)
            #expect(!server.program.errors.text.contains("\(busy.name) closed: "))
            // That was an end, not a failure; and there may be another beginning.
            #expect(try silent.ask("again") == "again")
            try await server.end()
            #expect(
                server.program.errors.lines.last?.contains("totals: 3 clients") == true, "\(server.program.errors.text)"
            )
            #expect(server.program.errors.lines.last?.contains(" 0 errors") == true)
        }
    }

    @Test(arguments: models)
    func manyTCPClientsWithoutDescriptorsLeftDoNotSilenceUDP(model: String) async throws {
        let launcher = ["sh", "-c", "ulimit -n 24; exec \"$@\"", "sh"]
        try await servingDatagrams(
            at: ["127.0.0.1:0", "udp://127.0.0.1:0"], "--model", model, "--max-clients", "1000", "--loops", "1",
            "--show",
            "none", launcher: launcher
        ) { server in
            let clients = try (0..<60).map { _ in try Peer(port: server.port(0)) }
            for client in clients { try client.send("x") }
            if model != "blocking" {
                let warning = try await server.program.errors.line(with: "warning")
                #expect(warning.contains("too many open files"))
            }
            let senders = try (0..<30).map { _ in try server.sender(to: 1) }
            for sender in senders { #expect(try sender.ask(sender.name) == sender.name) }
            #expect(server.program.ending == nil)
        }
    }
}
