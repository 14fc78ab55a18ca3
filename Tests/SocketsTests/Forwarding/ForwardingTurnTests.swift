import Sockets
import SystemPackage
import TestSupport
import Testing

/// What others do with the two connections meanwhile.
@Suite(.inTurn) struct ForwardingTurnTests {
    /// Where the loop moves the bytes it keeps its turn to the end; the verbs give it away between two messages.
    @Test(arguments: Setup.all, Stage.allCases)
    func anotherReceiveGetsItsTurnAtTheEndAtTheLatest(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            let receive = Task { try await relay.source.receive(upTo: 9) }
            await relay.settle()
            relay.source.receiveDeadline = .now
            #expect(try await forward.end() == .failed(.receive, .timedOut))
            relay.source.receiveDeadline = .never
            // The deadline may have ended it too.
            let again = Task {
                do {
                    return try await receive.value
                } catch let error as SocketError where error.cause == .timedOut {
                    return try await relay.source.receive(upTo: 9)
                }
            }
            try await relay.sender.send([7])
            let message = try await within(patience, "the other's turn") { try await again.value }
            #expect(message == [7])
        }
    }

    @Test(arguments: Setup.moved)
    func anotherReceiveWaitsWhileTheLoopMovesTheBytes(_ setup: Setup) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            var count = try await relay.exchange(Stage.many)
            let receive = Task { try await relay.source.receive(upTo: 9) }
            await relay.settle()
            // None of these is the other's.
            count += try await relay.exchange(Stage.many)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
            #expect(try await within(patience, "the other's turn") { try await receive.value } == nil)
        }
    }

    /// Sends of others come between two messages or after the last, whole, and all of them.
    @Test(arguments: Setup.full, Way.all)
    func otherSendsGetTheirTurnAtTheEndAtTheLatest(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            await relay.settle()
            let sends = (0..<3).map { _ in
                Task { try await relay.destination.send([UInt8](repeating: 0xff, count: 500)) }
            }
            await relay.settle()
            let own = [UInt8](repeating: 1, count: 10_000)
            try await relay.sender.send(own)
            try relay.sender.finishSending()
            #expect(try await forward.end().isFinished)
            for send in sends { try await within(patience, "the other's turn") { try await send.value } }
            try relay.destination.finishSending()
            let all = try await relay.reader.receiveAll()
            #expect(all.filter { $0 == 1 } == own)
            #expect(all.count == own.count + 1500)
            let theirs = all.split(separator: 1).map(\.count)
            #expect(theirs.allSatisfy { $0 % 500 == 0 }, "\(theirs)")
        }
    }

    @Test(arguments: Setup.full, Stage.allCases)
    func theOtherDirectionsAreFree(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            for byte in 0..<10 as Range<UInt8> {
                try await relay.source.send([byte])
                #expect(try await relay.sender.receive(upTo: 9) == [byte])
                try await relay.reader.send([byte])
                #expect(try await relay.destination.receive(upTo: 9) == [byte])
            }
            let more = try await relay.exchange(3)
            // Also while it waits for room.
            let sent = try await relay.fill()
            try await relay.source.send([1])
            #expect(try await relay.sender.receive(upTo: 9) == [1])
            try await relay.reader.send([2])
            #expect(try await relay.destination.receive(upTo: 9) == [2])
            try relay.sender.finishSending()
            #expect(try await relay.reader.receive(exactly: sent.count) == sent)
            #expect(try await forward.end() == .finished(UInt64(count + more + sent.count)))
        }
    }

    /// Who waits for the turn keeps its own deadline, and can be cancelled.
    @Test(arguments: Setup.moved)
    func whoWaitsForTheTurnCanGiveUp(_ setup: Setup) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(Stage.many)
            let receive = Task { try await cause { try await relay.source.receive(upTo: 9) } }
            let second = Task { try await cause { try await relay.source.forward(to: relay.destination) } }
            await relay.settle()
            receive.cancel()
            second.cancel()
            #expect(try await receive.value == .cancelled)
            #expect(try await second.value == .cancelled)
            let more = try await relay.exchange(3)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count + more)))
        }
    }
}

extension End {
    var isFinished: Bool { if case .finished = self { true } else { false } }
}
