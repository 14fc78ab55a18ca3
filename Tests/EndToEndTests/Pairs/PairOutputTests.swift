import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 4 of the contract where one side is the relay's own output, over every target.
@Suite("The contract's output, over every target", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct PairOutputTests {
    @Test(arguments: Pair.standard)
    func aFullOutputIsAFailure(pair: Pair) async throws {
        try await joining(pair, output: .file("/dev/full")) { joined in
            let server = try await joined.server()
            try server.send("answer")
            // Neither its input nor the server's has ended.
            #expect(try await joined.relay.end() == 1)
            let told = joined.complaints
            #expect(told.count == 1 && told.first?.contains("output") == true, "\(told)")
            server.close()
        }
    }

    @Test(arguments: Pair.standard)
    func aClosedOutputIsAFailureWhenSomethingComes(pair: Pair) async throws {
        try await joining(pair, output: .closed) { joined in
            let server = try await joined.server()
            try server.send("answer")
            #expect(try await joined.relay.end() == 1)
            #expect(joined.complaints.count == 1, "\(joined.complaints)")
            server.close()
        }
    }

    /// What the input has said is whole, whoever reads the output.
    @Test(arguments: Pair.standard)
    func theInputIsWholeThoughNobodyReadsTheOutput(pair: Pair) async throws {
        try await joining(pair) { joined in
            let client = try await joined.client()
            let server = try await joined.server()
            client.stopReceiving()
            try client.send("question")
            client.finish()
            #expect(try server.receiveText() == "question")
            server.close()
            _ = try await joined.relay.end()
        }
    }

    @Test(arguments: Pair.standard)
    func anOutputWhoseReaderHasGoneIsAFailureAndNoSignal(pair: Pair) async throws {
        try await joining(pair) { joined in
            let client = try await joined.client()
            let server = try await joined.server()
            client.stopReceiving()
            // Whoever is started at that moment holds a copy of the pipe's end until it runs its own program.
            try await eventually(patience, "the end of the relay") {
                try? server.send("answer")
                return joined.relay.ending != nil
            }
            #expect(try await joined.relay.end() == 1)
            server.close()
        }
    }
}
