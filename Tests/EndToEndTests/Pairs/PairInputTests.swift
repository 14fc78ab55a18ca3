import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 12 of the contract where one side is the relay's own input, over every target.
@Suite("The contract's input, over every target", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct PairInputTests {
    @Test(arguments: Pair.standard)
    func anInputOfAnyKindWorksAndItsNonBlockingIsLeftAsItWas(pair: Pair) async throws {
        let path = temporaryPath("input")
        try makeFile(path, Array("said".utf8))
        defer { unlink(path) }
        var ends: [CInt] = [-1, -1]
        _ = try valid(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends))
        defer { for end in ends { close(end) } }
        write(ends[1], "said", 4)
        shutdown(ends[1], CInt(SHUT_WR))
        let inputs: [(Stream, String)] = [
            (.file(path), "said"), (.file("/dev/null"), ""), (.closed, ""), (.descriptor(ends[0]), "said"),
        ]
        for (input, said) in inputs {
            let behind = try Behind(pair.back)
            try behind.open()
            try await starting([Place.pier, "relay", "-", behind.endpoint], input: input) { relay in
                let server = try await behind.accept()
                #expect(try server.receiveText() == said, "\(input)")
                try server.send("answer")
                server.close()
                #expect(try await relay.end() == 0, "\(input): \(relay.errors.text)")
                #expect(relay.output.text == "answer", "\(input)")
                #expect(fcntl(ends[0], F_GETFL) & O_NONBLOCK == 0)
            }
        }
    }
}
