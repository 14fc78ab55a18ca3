import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier relay` with datagrams on its near side and `exec:` as its target: each sender has a program of its own.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramProgramTests {
    @Test(arguments: ["udp", "unix-dgram"]) func eachSenderHasAProgramThatAnswersIt(near: String) async throws {
        try await relaying(datagramFront(near), "exec:cat", "--linger", "50ms") { relay in
            let senders = try (0..<3).map { _ in try relay.sender() }
            for (number, sender) in senders.enumerated() {
                #expect(try sender.ask("from \(number)") == "from \(number)")
            }
            #expect(children(of: relay.program.pid).count == 3)
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0, "\(relay.program.errors.text)")
        }
    }

    @Test func itsProgramKnowsTheAddressesOfTheSender() async throws {
        let script = "exec:sh -c 'echo $PIER_PEER_ADDRESS $PIER_LOCAL_ADDRESS; cat'"
        try await relaying("udp://127.0.0.1:0", script, "--frame", "lines") { relay in
            let sender = try relay.sender()
            #expect(try sender.ask("x") == "udp://\(sender.name) udp://127.0.0.1:\(relay.port)")
        }
    }

    @Test func aSilentSessionEndsItsProgram() async throws {
        try await relaying("udp://127.0.0.1:0", "exec:cat", "--idle-timeout", "100ms", "--linger", "10ms", "-v") {
            relay in
            let sender = try relay.sender()
            #expect(try sender.ask("one") == "one")
            try await relay.program.errors.line(with: "ended with status 0")
            #expect(children(of: relay.program.pid).isEmpty)
            #expect(try sender.ask("two") == "two")
        }
    }

    /// Forged senders must not start programs without end.
    @Test func atTheLimitTheLongestSilentProgramMakesRoom() async throws {
        try await relaying("udp://127.0.0.1:0", "exec:cat", "--max-sessions", "2", "--linger", "10ms", "-v") { relay in
            let senders = try (0..<4).map { _ in try relay.sender() }
            for sender in senders { #expect(try sender.ask("x") == "x") }
            try await eventually(patience, "two programs") { children(of: relay.program.pid).count == 2 }
        }
    }

    @Test func aProgramThatEndsBadlyIsToldAndStartsAgain() async throws {
        try await relaying("udp://127.0.0.1:0", "exec:sh -c 'read x; echo $x; exit 3'", "--frame", "lines") { relay in
            let sender = try relay.sender()
            #expect(try sender.ask("one") == "one")
            try await relay.program.errors.line(with: "it ended with status 3")
            try await eventually(patience, "the end of the first") { children(of: relay.program.pid).isEmpty }
            #expect(try sender.ask("two") == "two")
        }
    }

    @Test func whatAKilledProgramHadSaidInPartIsNoDatagram() async throws {
        let script = "exec:sh -c 'read x; echo whole; printf part; kill -9 $$'"
        try await relaying("udp://127.0.0.1:0", script, "--frame", "lines") { relay in
            let sender = try relay.sender()
            #expect(try sender.ask("one") == "whole")
            try await relay.program.errors.line(with: "it ended by signal 9")
            #expect(!sender.hasNews(within: 50))
        }
    }
}
