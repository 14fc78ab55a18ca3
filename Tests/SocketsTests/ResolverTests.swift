import Loops
import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Names that are looked up by threads, which the seam sees.
@Suite(.inTurn) struct ResolverTests {
    /// Makes the first look-ups stick until it is let go of, as those of a dead name server do.
    private final class DeadServer: Sendable {
        let stuck = Counter()
        private let most: Int
        private let reading: CInt
        private let writing: CInt

        init(_ most: Int) throws {
            self.most = most
            var ends: [CInt] = [0, 0]
            guard pipe(&ends) == 0 else { throw NeverHappened(what: "a pipe") }
            (reading, writing) = (ends[0], ends[1])
        }

        deinit { close(reading) }

        func decide(_ call: SystemCall) -> Interposer.Verdict {
            guard call == .getaddrinfo, stuck.add() <= most else { return .pass }
            var byte: UInt8 = 0
            _ = read(reading, &byte, 1)
            return .fail(.timedOut)
        }

        func letGo() { close(writing) }
    }

    @Test(arguments: Face.allCases)
    func twentyStuckNamesDoNotHoldUpAnother(_ face: Face) async throws {
        let listener = try Listener(on: Kind.tcp4.endpoint)
        let port = try #require(listener.address.port)
        let dead = try DeadServer(20)
        try await Interposer(decide: { call, _ in dead.decide(call) }).whileInForce {
            let stuck = (0..<20).map { number in
                Task { try await cause { try await Connection.connect(to: "stuck\(number).invalid:9", by: face) } }
            }
            try await eventually { dead.stuck.value == 20 }
            let connected = try await Connection.connect(to: "localhost:\(port)", by: face)
            connected.close()
            dead.letGo()
            for task in stuck { #expect(try await task.value == .system(.timedOut)) }
        }
        listener.close()
    }

    @Test(arguments: Face.allCases)
    func aLookUpThatGetsNoThreadFails(_ face: Face) async throws {
        try await trial { ledger in
            ledger.make(.thread, .fail(.resourceTemporarilyUnavailable))
            let ended = try await cause { try await Connection.connect(to: "localhost:9", by: face) }
            // Where another test's look-up has a thread, that one takes this name up too.
            #expect(ended == .system(.resourceTemporarilyUnavailable) || ended == .system(.connectionRefused))
        }
    }

    @Test func aLookUpThatTheSystemFailsSaysWhy() async throws {
        try await trial { ledger in
            ledger.make(.getaddrinfo, .fail(.tooManyOpenFiles))
            let ended = try await cause { try await Connection(to: "localhost:9") }
            #expect(ended == .system(.tooManyOpenFiles))
            #expect(ledger.count(of: .getaddrinfo) == 1)
        }
    }
}
