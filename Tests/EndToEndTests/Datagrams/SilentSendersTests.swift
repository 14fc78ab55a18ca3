import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Senders of whom nothing is told have no sessions: nothing is kept of them.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct SilentSendersTests {
    @Test(arguments: ["tasks", "callbacks"])
    func memoryDoesNotGrowWithTheSenders(model: String) async throws {
        try await servingDatagrams("echo", "--model", model, "--loops", "1", "--show", "none") { server in
            let (pid, port) = (server.program.pid, server.port())
            // The first ones have made what is made once.
            try await onThread { try ask(port, 1_000) }
            let before = (residentMemory(of: pid), descriptors(of: pid).count)
            try await onThread { try ask(port, 9_000) }
            #expect(residentMemory(of: pid) - before.0 < allowed(1 << 20))
            #expect(descriptors(of: pid).count == before.1)
            try await server.end()
        }
    }

    /// It counts sessions, so it does not hold here.
    @Test func theLimitOnSessionsTurnsNobodyAway() async throws {
        try await servingDatagrams("echo", "--max-sessions", "2", "--show", "none") { server in
            let senders = try (0..<20).map { _ in try server.sender() }
            for round in 0..<3 {
                for sender in senders {
                    #expect(try sender.ask("\(round) \(sender.name)") == "\(round) \(sender.name)")
                }
            }
            try await server.end()
        }
    }
}

/// Has so many senders ask once, each from a port of its own, five hundred of which are there at once.
private func ask(_ port: UInt16, _ count: Int) throws {
    for first in stride(from: 0, to: count, by: 500) {
        let senders = try (0..<500).map { _ in try DatagramPeer(port: port) }
        for (index, sender) in senders.enumerated() {
            let question = Array("sender \(first + index)".utf8)
            let answer = try sender.ask(question)
            guard answer == question else { throw Unexpected(text: String(decoding: answer, as: UTF8.self)) }
        }
    }
}
