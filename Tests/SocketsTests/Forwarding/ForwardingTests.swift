import Sockets
import TestSupport
import Testing

/// What a forward passes on, and what it does not: in each place, by the verbs and by the loop.
@Suite(.inTurn) struct ForwardingTests {
    @Test(arguments: Setup.all, Stage.allCases)
    func anEchoGivesBackAllAndCountsIt(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup, echo: true) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func aRelayPassesOnAllAndCountsIt(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }

    @Test(arguments: Setup.all, Way.started)
    func theEndIsNotPassedOn(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(way.stage)
            // The last message and the end come together.
            try await relay.sender.send([1, 2, 3])
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count + 3)))
            try await relay.destination.send([4])
            #expect(try await relay.reader.receive(exactly: 4) == [1, 2, 3, 4])
            try relay.destination.finishSending()
            #expect(try await relay.reader.receive(upTo: 9) == nil)
            #expect(try await relay.source.receive(upTo: 9) == nil)
            // All has come: what is left is the end, again.
            let again = relay.forward()
            #expect(try await again.end() == .finished(0))
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func whatWasReceivedBeforeGoesFirst(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            try await relay.sender.send(Array("a line\nthe rest".utf8))
            #expect(try await relay.source.receiveLine() == "a line")
            let forward = relay.forward()
            #expect(try await relay.reader.receive(exactly: 8) == Array("the rest".utf8))
            let count = try await relay.exchange(stage)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(8 + count)))
        }
    }

    /// Also when all has come by then, and the socket itself will never tell of more.
    @Test(arguments: Setup.all, [1, 3, 8, 65536])
    func whatWasReceivedBeforeGoesFirstThoughThePeerHasFinished(_ setup: Setup, _ size: Int) async throws {
        try await tryingForward(setup, echo: true) { relay in
            try await relay.sender.send(Array("a line\nthe rest".utf8))
            try relay.sender.finishSending()
            #expect(try await relay.source.receiveLine() == "a line")
            #expect(try await relay.forward(upTo: size).end() == .finished(8))
            try relay.source.finishSending()
            #expect(try await relay.reader.receiveAll() == Array("the rest".utf8))
        }
    }

    /// Another's receive of a line takes its turn between two messages, and leaves what it does not need: the next is not to
    /// overtake it, whoever moves that.
    @Test(arguments: Setup.full, 0...7)
    func whatAnotherReceiveLeftOverGoesFirst(_ setup: Setup, _ messages: Int) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(messages)
            let line = Task { try await relay.source.receiveLine() }
            await relay.settle()
            try await relay.sender.send(Array("one\ntwo\n".utf8))
            await relay.settle()
            try await relay.sender.send(Array("three\nfour\n".utf8))
            try relay.sender.finishSending()
            guard case .finished = try await forward.end() else {
                Issue.record("not finished")
                return
            }
            try relay.destination.finishSending()
            let passed = String(decoding: try await relay.reader.receiveAll(), as: UTF8.self)
            let taken = try await line.value
            let lines = ["one", "two", "three", "four"]
            // One line at most is the other's; the rest is in its order.
            #expect(passed == lines.filter { $0 != taken }.map { $0 + "\n" }.joined())
        }
    }

    @Test(arguments: Setup.all, [1, 2, 100_000, .max])
    func anySizeWillDo(_ setup: Setup, _ size: Int) async throws {
        try await tryingForward(setup, echo: true) { relay in
            let forward = relay.forward(upTo: size)
            let count = try await relay.exchange(10)
            let all = pattern(size < 10 ? 5_000 : 200_000)
            async let sent: Void = relay.sender.send(all)
            #expect(try await relay.reader.receive(exactly: all.count) == all)
            try await sent
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count + all.count)))
        }
    }

    /// It can be done again and again on one connection, and each counts its own.
    @Test(arguments: Setup.all)
    func oneMayFollowTheOther(_ setup: Setup) async throws {
        try await tryingForward(setup) { relay in
            for round in 0..<5 {
                let forward = relay.forward()
                try await relay.exchange(Stage.many)
                relay.source.receiveDeadline = .now
                #expect(try await forward.end() == .failed(.receive, .timedOut), "round \(round)")
                relay.source.receiveDeadline = .never
            }
            let forward = relay.forward()
            let count = try await relay.exchange(6)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }
}
