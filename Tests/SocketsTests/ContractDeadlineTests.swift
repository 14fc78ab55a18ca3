import Sockets
import TestSupport
import Testing

/// Deadlines: never early, and not so late that a user would notice. Two processors are shared with other tests, so the
/// upper bounds only tell an end from a hang.
@Suite(.inTurn) struct ContractDeadlineTests {
    static let late = patience

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineInThePastFailsAtOnceAndLosesNothing(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2, 3], by: face)
            server.receiveDeadline = .now
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .timedOut)
            #expect(try await cause { try await server.receive(exactly: 3, by: face) } == .timedOut)
            let sends = ledger.count(of: .send)
            client.sendDeadline = .after(.zero - .seconds(1))
            #expect(try await cause { try await client.send([4], by: face) } == .timedOut)
            #expect(ledger.count(of: .send) == sends)
            listener.acceptDeadline = .now
            #expect(try await cause { try await listener.accept(by: face) } == .timedOut)
            server.receiveDeadline = .never
            client.sendDeadline = .never
            try await client.send([5], by: face)
            #expect(try await server.receive(exactly: 4, by: face) == [1, 2, 3, 5])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineInTheFutureEndsAReceiveThen(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await timesOut(after: .milliseconds(80)) {
                server.receiveDeadline = .after(.milliseconds(80))
                return try await cause { try await server.receive(upTo: 9, by: face) }
            }
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineInTheFutureEndsASendThen(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            _ = try client.fill(with: server)
            try await timesOut(after: .milliseconds(80)) {
                client.sendDeadline = .after(.milliseconds(80))
                return try await cause { try await client.send(pattern(1 << 23), by: face) }
            }
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineInTheFutureEndsAnAcceptThen(_ kind: Kind, _ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            try await timesOut(after: .milliseconds(80)) {
                listener.acceptDeadline = .after(.milliseconds(80))
                return try await cause { try await listener.accept(by: face) }
            }
            // It is the wait that ended, not the listener.
            listener.acceptDeadline = .never
            let client = try await Connection(to: listener.endpoint)
            #expect(try await listener.accept(by: face).origin == .accepted)
            client.close()
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineMovedToThePastEndsAWaitUnderWay(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.receiveDeadline = .after(.seconds(1000))
            async let receive = cause { try await server.receive(upTo: 9, by: face) }
            try await ledger.sees(.receive)
            server.receiveDeadline = .now
            #expect(try await receive == .timedOut)

            let accepts = ledger.count(of: .accept)
            async let accept = cause { try await listener.accept(by: face) }
            try await ledger.sees(.accept, accepts + 1)
            listener.acceptDeadline = .now
            #expect(try await accept == .timedOut)

            _ = try client.fill(with: server)
            async let send = cause { try await client.send(pattern(1 << 23), by: face) }
            try await ledger.sees(.send)
            client.sendDeadline = .now
            #expect(try await send == .timedOut)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineMovedLaterLetsAWaitUnderWayGoOn(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.receiveDeadline = .after(.seconds(1000))
            async let receive = server.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            server.receiveDeadline = .after(.milliseconds(300))
            server.receiveDeadline = .after(.seconds(1000))
            // Past the deadline that was given up, by a wait of the other end.
            client.receiveDeadline = .after(.milliseconds(350))
            #expect(try await cause { try await client.receive(upTo: 1) } == .timedOut)
            try await client.send([3])
            #expect(try await receive == [3])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aDeadlineMovedNearerEndsAWaitUnderWayThen(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.receiveDeadline = .after(.seconds(1000))
            let receive = Task { try await cause { try await server.receive(upTo: 9, by: face) } }
            try await ledger.sees(.receive)
            try await timesOut(after: .milliseconds(60)) {
                server.receiveDeadline = .after(.milliseconds(60))
                return try await receive.value
            }
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func eachDirectionHasItsOwnDeadline(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            _ = try client.fill(with: server)
            client.sendDeadline = .after(.milliseconds(60))
            client.receiveDeadline = .after(.seconds(1000))
            async let receive = client.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            #expect(try await cause { try await client.send(pattern(1 << 23), by: face) } == .timedOut)
            try server.rawSend([8])
            #expect(try await receive == [8])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func theIdleTimeoutEndsASingleWaitAndNotASumOfThem(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.idleTimeout = .milliseconds(400)
            let start = ContinuousClock.now
            // Several waits that together take longer than the limit of each.
            while ContinuousClock.now - start < .milliseconds(900) {
                let began = ContinuousClock.now
                async let ended = cause { try await server.receive(upTo: 9, by: face) }
                client.receiveDeadline = .after(.milliseconds(100))
                _ = try await cause { try await client.receive(upTo: 1) }
                try await client.send([1])
                if try await ended == nil { continue }
                // Only on a machine so busy that this one wait did last so long.
                #expect(ContinuousClock.now - began >= .milliseconds(400))
                server.idleTimeout = nil
                #expect(try await server.receive(upTo: 9, by: face) == [1])
                server.idleTimeout = .milliseconds(400)
            }
            try await timesOut(after: .milliseconds(400)) {
                return try await cause { try await server.receive(upTo: 9, by: face) }
            }
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aReceiveInTheQueueKeepsItsDeadlineToo(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.receiveDeadline = .after(.milliseconds(100))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5 {
                    group.addTask {
                        let ended = try await cause { try await server.receive(upTo: 9, by: face) }
                        #expect(ended == .timedOut)
                        #expect(server.receiveDeadline.isPast)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Fails when `body` does not give `.timedOut`, ends before `least` is over, or very much later.
    private func timesOut(
        after least: Duration, _ body: () async throws -> SocketError.Cause?
    ) async throws {
        let start = ContinuousClock.now
        let ended = try await body()
        let taken = ContinuousClock.now - start
        #expect(ended == .timedOut)
        #expect(taken >= least)
        #expect(taken < Self.late)
    }
}
