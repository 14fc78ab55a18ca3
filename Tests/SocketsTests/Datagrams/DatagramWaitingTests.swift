import Sockets
import SystemPackage
import TestSupport
import Testing

/// A receive waits until a datagram comes, or somebody ends the wait.
@Suite(.inTurn) struct DatagramWaitingTests {
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aReceiveWaitsUntilADatagramComes(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            for round in 0..<20 as Range<UInt8> {
                async let received = server.receive(by: face)
                // Later ones know that nothing is there, and wait without a call.
                try await ledger.sees(.receiveDatagrams)
                try await client.send([round], by: face)
                #expect(try await received.bytes == [round])
            }
        }
    }

    /// One has the turn and waits for a datagram, others wait for the turn, and others are about to.
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func stopReceivingEndsAllReceivesAlike(_ kind: DatagramKind, _ face: Face) async throws {
        for _ in 0..<10 {
            try await trial(over: kind) { ledger, _, server in
                let causes = try await withThrowingTaskGroup(of: SocketError.Cause?.self) { group in
                    for _ in 0..<8 { group.addTask { try await cause { try await server.receive(by: face) } } }
                    try await ledger.sees(.receiveDatagrams)
                    server.stopReceiving()
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(causes == Array(repeating: .closed, count: 8))
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func severalReceivesAtTheSameTimeGetOneEach(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            for _ in 0..<5 {
                let received = try await withThrowingTaskGroup(of: [UInt8].self) { group in
                    for _ in 0..<8 { group.addTask { try await server.receive(by: face).bytes } }
                    try await ledger.sees(.receiveDatagrams)
                    for number in 0..<8 as Range<UInt8> { try await client.send([number], by: face) }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(received.sorted { $0[0] < $1[0] } == (0..<8).map { [$0] })
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func closingEndsTheReceivesUnderWay(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            async let first = cause { try await server.receive(by: face) }
            async let second = cause { try await server.receive(by: face) }
            try await ledger.sees(.receiveDatagrams)
            server.close()
            #expect(try await first == .closed)
            #expect(try await second == .closed)
            #expect(try await cause { try await server.receive(by: face) } == .closed)
            #expect(try await cause { try await server.send([1], to: client.localAddress, by: face) } == .closed)
            #expect(try await cause { try server.option(.receiveBuffer) } == .closed)
            #expect(server.isClosed)
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func stopReceivingEndsReceivingAndLeavesSending(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            async let received = cause { try await server.receive(by: face) }
            try await ledger.sees(.receiveDatagrams)
            server.stopReceiving()
            server.stopReceiving()
            #expect(try await received == .closed)
            #expect(try await cause { try await server.receive(by: face) } == .closed)
            #expect(!server.isClosed)
            try await server.send([5], to: client.localAddress, by: face)
            #expect(try await client.receive(by: face).bytes == [5])
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aConnectedSocketStopsReceivingToo(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            async let received = cause { try await client.receive(by: face) }
            try await ledger.sees(.receiveDatagrams)
            client.stopReceiving()
            #expect(try await received == .closed)
            try await client.send([5], by: face)
            #expect(try await server.receive(by: face).bytes == [5])
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aDeadlineEndsAReceiveThenAndNotBefore(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let start = ContinuousClock.now
            server.receiveDeadline = .after(.milliseconds(80))
            #expect(try await cause { try await server.receive(by: face) } == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(80))
            #expect(ContinuousClock.now - start < patience)
            server.receiveDeadline = .never
            try await client.send([1], by: face)
            #expect(try await server.receive(by: face).bytes == [1])
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aDeadlineInThePastFailsAtOnceAndLosesNothing(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            for number in 0..<3 as Range<UInt8> { try await client.send([number], by: face) }
            server.receiveDeadline = .now
            #expect(try await cause { try await server.receive(by: face) } == .timedOut)
            server.receiveDeadline = .never
            // The others may have come along with the first.
            #expect(try await server.receive(by: face).bytes == [0])
            server.receiveDeadline = .now
            #expect(try await cause { try await server.receive(by: face) } == .timedOut)
            server.receiveDeadline = .never
            #expect(try await server.receive(by: face).bytes == [1])
            #expect(try await server.receive(by: face).bytes == [2])
            client.sendDeadline = .now
            #expect(try await cause { try await client.send([4], by: face) } == .timedOut)
            client.sendDeadline = .never
            try await client.send([5], by: face)
            #expect(try await server.receive(by: face).bytes == [5])
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aDeadlineMovedToThePastEndsAReceiveUnderWay(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            server.receiveDeadline = .after(.seconds(1000))
            async let received = cause { try await server.receive(by: face) }
            try await ledger.sees(.receiveDatagrams)
            server.receiveDeadline = .now
            #expect(try await received == .timedOut)
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func theIdleTimeoutEndsASingleWait(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            server.idleTimeout = .milliseconds(60)
            let start = ContinuousClock.now
            #expect(try await cause { try await server.receive(by: face) } == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(60))
            server.idleTimeout = nil
            try await client.send([1], by: face)
            #expect(try await server.receive(by: face).bytes == [1])
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func cancellingATaskEndsItsReceiveAndNoOther(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { ledger, client, server in
            let first = Task { try await cause { try await server.receive() } }
            try await ledger.sees(.receiveDatagrams)
            let second = Task { try await cause { try await server.receive() } }
            let third = Task { try await server.receive().bytes }
            second.cancel()
            #expect(try await second.value == .cancelled)
            first.cancel()
            #expect(try await first.value == .cancelled)
            try await client.send([1])
            #expect(try await third.value == [1])
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aTaskThatIsCancelledAlreadyTakesNothing(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            try await client.send([1])
            try await client.send([2])
            #expect(try await server.receive().bytes == [1])
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return [
                    try await cause { try await server.receive() },
                    try await cause { try await client.send([3]) },
                ]
            }
            #expect(try await task.value == [.cancelled, .cancelled])
            #expect(try await server.receive().bytes == [2])
        }
    }

    /// What came along with a datagram is of the socket, not of the task that received it.
    @Test(arguments: DatagramKind.allCases)
    func whatCameAlongIsTheNextReceiversWhateverItsFace(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            for number in 0..<8 as Range<UInt8> { try await client.send([number]) }
            for number in 0..<8 as Range<UInt8> {
                #expect(try await server.receive(by: number.isMultiple(of: 2) ? .task : .thread).bytes == [number])
            }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aBlockingReceiveOnALoopIsMisuse(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let told = Notes<String>()
            let serving = Task {
                try await server.serve(onError: { _, error in told.add("\(error)") }) { session in
                    try receiveBlocking(session.socket)
                }
            }
            try await client.send([1])
            try await told.waits("an error") { $0.contains("await") }
            server.stopReceiving()
            try await serving.value
        }
    }
}

/// The helper through which a blocking call gets past `noasync`.
private func receiveBlocking(_ socket: DatagramSocket) throws {
    _ = try socket.receive(upTo: 1)
}
