import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// No program outlives the relay that ran it, nor its client.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayProgramEndTests {
    @Test func programsAreReapedAndNothingOfThemStays() async throws {
        try await running("relay", "127.0.0.1:0", "exec:cat") { relay in
            let port = try await listeningPort(of: relay)
            let pid = relay.pid
            #expect(try Peer(port: port).echo("warm") == "warm")
            try await eventually(patience, "the first one's end") { children(of: pid).isEmpty }
            let before = held(by: pid)
            for round in 0..<5 {
                let clients = try (0..<10).map { _ in try Peer(port: port) }
                for client in clients { #expect(try client.echo("hello") == "hello") }
                // Those of the round before may still be there.
                try await eventually(patience, "ten programs") { children(of: pid).count == 10 }
                // In one way or the other.
                for (number, client) in clients.enumerated() where (number + round) % 2 == 0 { try client.resetNow() }
            }
            try await eventually(patience, "all ends") { children(of: pid).isEmpty }
            try await eventually(patience, "closing all") { held(by: pid) <= before }
        }
    }

    /// How many sockets and programs a process holds. Its other descriptors come when they are first needed, and stay.
    private func held(by pid: pid_t) -> Int {
        descriptors(of: pid).count { $0.hasPrefix("socket:") || $0.contains("pidfd") }
    }

    /// It neither reads nor heeds SIGTERM, and has a child that does not either.
    private static let stubborn = "exec:sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000'"

    @Test(arguments: ["a second signal", "the end of the grace"])
    func aStubbornProgramEndsWithTheCommand(by: String) async throws {
        let grace = by == "a second signal" ? "1h" : "10ms"
        for listen in ["127.0.0.1:0", Self.stubborn] {
            let target =
                listen == Self.stubborn ? "exec:sh -c 'trap \"\" TERM; read x; echo $x >&2; sleep 1000'" : Self.stubborn
            try await running("relay", listen, target, "--grace", grace) { relay in
                var client: Peer?
                if listen != Self.stubborn { client = try Peer(port: try await listeningPort(of: relay)) }
                let count = listen == Self.stubborn ? 2 : 1
                try await eventually(patience, "the programs") { [pid = relay.pid] in children(of: pid).count == count }
                if let client {
                    _ = try client.receive(1)
                } else {
                    try await eventually { !relay.errors.lines.isEmpty }
                }
                let programs = children(of: relay.pid)
                relay.send(SIGTERM)
                if by == "a second signal" {
                    try await eventually(patience, "the signal's arrival") { !relay.isPending(SIGTERM) }
                    relay.send(SIGTERM)
                }
                #expect(try await relay.end() == -SIGTERM)
                try await eventually(patience, "their end") { programs.allSatisfy { !isRunning($0) } }
                withExtendedLifetime(client) {}
            }
        }
    }

    @Test func aProgramGetsTheFirstSignalsGrace() async throws {
        try await running("relay", "127.0.0.1:0", "exec:cat", "--grace", "1h") { relay in
            let port = try await listeningPort(of: relay)
            let client = try Peer(port: port)
            #expect(try client.echo("a") == "a")
            relay.send(SIGTERM)
            try await eventually(patience, "refusing") { (try? Peer(port: port)) == nil }
            #expect(try client.echo("b") == "b")
            client.finish()
            #expect(try client.receiveText() == "")
            #expect(try await relay.end() == 0)
        }
    }

    /// A client that goes away while its program is still busy ends it.
    @Test func aClientThatIsGoneTakesItsProgramWithIt() async throws {
        try await running("relay", "127.0.0.1:0", "exec:yes") { relay in
            let port = try await listeningPort(of: relay)
            let client = try Peer(port: port)
            _ = try client.receive(100)
            try await eventually(patience, "one program") { [pid = relay.pid] in children(of: pid).count == 1 }
            try client.resetNow()
            try await eventually(patience, "its end") { [pid = relay.pid] in children(of: pid).isEmpty }
        }
    }
}
