import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The cases of edge-triggered readiness: each would wait for ever without the rule that it holds to.
///
/// Where two events must reach the poller as one edge, both are caused by a job on the loop's own thread: it looks at its
/// sockets only after that.
@Suite(.inTurn) struct ReadinessTests {
    private let limit = patience

    @Test(arguments: Kind.allCases)
    func theEndThatCameTogetherWithBytesIsReceivedAfterAShortRead(_ kind: Kind) async throws {
        try await oneEdge(kind) { (server) async throws in
            #expect(try await server.receive(upTo: 1024) == [1, 2, 3])
            #expect(try await server.receive(upTo: 1024) == nil)
        } cause: { client in
            try client.rawSend([1, 2, 3])
            try client.finishSending()
        }
    }

    @Test(arguments: Kind.allCases)
    func aResetThatCameTogetherWithBytesIsReceivedAfterAShortRead(_ kind: Kind) async throws {
        try await oneEdge(kind) { (server) async throws in
            #expect(try await server.receive(upTo: 1024) == [1, 2, 3])
            #expect(try await TestSupport.cause { try await server.receive(upTo: 9) } == .system(.connectionReset))
        } prepare: { client, server in
            // A Unix socket resets when it closes on bytes that it has not read.
            if kind == .unix { try server.rawSend([0]) }
        } cause: { client in
            try client.rawSend([1, 2, 3])
            if kind == .unix { client.close() } else { try client.reset() }
        }
    }

    /// A read stops before the urgent mark, short, though there is more behind it.
    @Test(arguments: [Kind.tcp4, .tcp6])
    func bytesBehindAnUrgentMarkAreReceived(_ kind: Kind) async throws {
        try await oneEdge(kind) { (server) async throws in
            #expect(try await server.receive(upTo: 1024) == Array("abc".utf8))
            #expect(try await server.receive(upTo: 1024) == Array("def".utf8))
        } cause: { client in
            try client.rawSend(Array("abc".utf8))
            try client.rawSend(Array("!".utf8), flags: CInt(MSG_OOB))
            try client.rawSend(Array("def".utf8))
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6])
    func anUrgentByteAloneNeitherEndsAReceiveNorMakesItSpin(_ kind: Kind) async throws {
        try await trial(over: kind, limit) { ledger, client, server, listener in
            async let receive = server.receive(upTo: 9)
            try await ledger.sees(.receive)
            try client.rawSend(Array("!".utf8), flags: CInt(MSG_OOB))
            client.receiveDeadline = .after(.milliseconds(100))
            #expect(try await cause { try await client.receive(upTo: 9) } == .timedOut)
            #expect(ledger.count(of: .receive) < 20)
            try await client.send([1])
            #expect(try await receive == [1])
        }
    }

    /// A read of a Unix stream stops behind a message that carries a descriptor.
    @Test func aShortReadOfAUnixSocketIsNotTakenForEmpty() async throws {
        try await oneEdge(.unix) { (server) async throws in
            #expect(try await server.receive(upTo: 1024) == [1, 2, 3])
            #expect(try await server.receive(upTo: 1024) == [4, 5])
        } cause: { client in
            #expect(try client.rawSendWithDescriptor([1, 2, 3]) == 3)
            try client.rawSend([4, 5])
        }
    }

    @Test(arguments: Kind.allCases)
    func bytesThatComeWhileNobodyWaitsAreReceived(_ kind: Kind) async throws {
        try await trial(over: kind, limit) { ledger, client, server, listener in
            // A wait, so that the socket is registered, and then short reads.
            async let first = server.receive(upTo: 1024)
            try await ledger.sees(.receive)
            try await client.send([0])
            #expect(try await first == [0])
            for round in 1..<200 as Range<UInt8> {
                try await client.send([round])
                if round % 3 == 0 { await Task.yield() }
                #expect(try await server.receive(upTo: 1024) == [round])
            }
        }
    }

    /// The receive call sees nothing; before the wait that follows begins, the bytes come and their edge with them.
    @Test(arguments: Kind.allCases, 1...4)
    func bytesThatComeBetweenTheAttemptAndTheWaitAreReceived(_ kind: Kind, _ call: Int) async throws {
        try await within(limit, "the receive") {
            let (client, server, listener) = try await connectedPair(kind)
            let calls = Counter()
            let number = try server.withDescriptor { $0 }
            let interposer = Interposer(decide: { name, descriptor in
                guard name == .receive, descriptor == number, calls.add(1) == call else { return .pass }
                _ = try? client.rawSend([9])
                return .fail(.wouldBlock)
            })
            try await interposer.whileInForce {
                for round in 0..<8 as Range<UInt8> {
                    if calls.value < call - 1 || calls.value >= call { try await client.send([round]) }
                    let got = try await server.receive(upTo: 1)
                    #expect(got == [round] || got == [9])
                    if calls.value >= call, got == [9] { break }
                }
            }
            client.close()
            server.close()
            listener.close()
        }
    }

    /// Readiness with nothing behind it: back to the wait, without spinning.
    @Test(arguments: Kind.allCases, Face.allCases)
    func aSpuriousWakeIsNoEndAndNoError(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind, limit) { ledger, client, server, listener in
            async let receive = server.receive(exactly: 2, by: face)
            try await ledger.sees(.receive)
            ledger.make(.receive, .fail(.wouldBlock), times: 1)
            try await client.send([1])
            try await ledger.sees(.receive, 2)
            try await client.send([2])
            #expect(try await receive == [1, 2])
            #expect(ledger.count(of: .receive) < 20)
        }
    }

    @Test(arguments: Kind.allCases)
    func roomToSendThatCameWhileNobodyWaitedIsUsed(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            for _ in 0..<5 {
                // Full, a wait, and empty again before the next send.
                let filled = try client.fill(with: server)
                let rest = pattern(200_000)
                async let sending: Void = client.send(rest)
                #expect(try await server.receive(exactly: filled)?.count == filled)
                #expect(try await server.receive(exactly: rest.count) == rest)
                try await sending
            }
        }
    }

    /// A wait of `receive` on a loop, ended by what `cause` does as one edge.
    private func oneEdge(
        _ kind: Kind, receive: @escaping @Sendable (Connection) async throws -> Void,
        prepare: @escaping @Sendable (Connection, Connection) throws -> Void = { _, _ in },
        cause: @escaping @Sendable (Connection) throws -> Void
    ) async throws {
        try await trial(over: kind, limit) { ledger, client, server, listener in
            let group = try EventLoopGroup(loops: 1)
            try prepare(client, server)
            let receiving = Task(executorPreference: group.loops[0]) { try await receive(server) }
            try await ledger.sees(.receive)
            // Behind the job that waits: it has registered and suspended by the time that this one runs.
            try await Task(executorPreference: group.loops[0]) {
                #expect(EventLoop.current != nil)
                try cause(client)
            }.value
            try await receiving.value
            group.close()
        }
    }
}
