import Sockets
import TestSupport
import Testing

/// Deadlines end the wait that they are for, and no other.
@Suite(.inTurn) struct ForwardingDeadlineTests {
    @Test(arguments: Setup.all, Stage.allCases)
    func aDeadlineMovedToThePastEndsAWaitForBytesAndALaterOneLetsItBeginAgain(
        _ setup: Setup, _ stage: Stage
    ) async throws {
        try await tryingForward(setup) { relay in
            relay.source.receiveDeadline = .after(.seconds(1000))
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            relay.source.receiveDeadline = .now
            #expect(try await forward.end() == .failed(.receive, .timedOut))
            #expect(try await relay.forward().end() == .failed(.receive, .timedOut))
            relay.source.receiveDeadline = .never
            let again = relay.forward()
            let count = try await relay.exchange(stage)
            try relay.sender.finishSending()
            #expect(try await again.end() == .finished(UInt64(count)))
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func aDeadlineInTheFutureEndsAWaitForBytesThen(_ setup: Setup, _ stage: Stage) async throws {
        for moved in [true, false] {
            try await tryingForward(setup, echo: true) { relay in
                let forward = relay.forward()
                try await relay.exchange(stage)
                if moved { relay.source.receiveDeadline = .after(.seconds(1000)) }
                await relay.settle()
                let start = ContinuousClock.now
                relay.source.receiveDeadline = .after(.milliseconds(60))
                #expect(try await forward.end() == .failed(.receive, .timedOut))
                #expect(ContinuousClock.now - start >= .milliseconds(60))
            }
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func aDeadlineMovedLaterLetsItGoOn(_ setup: Setup, _ stage: Stage) async throws {
        try await withTime(.milliseconds(200)) { near in
            try await tryingForward(setup, echo: true) { relay in
                let forward = relay.forward()
                try await relay.exchange(stage)
                let start = ContinuousClock.now
                relay.source.receiveDeadline = .after(near)
                await relay.settle()
                relay.source.receiveDeadline = .after(.seconds(1000))
                if ContinuousClock.now - start >= near { throw TooSlow() }
                try await pass(near + .milliseconds(20), relay)
                #expect(!forward.hasEnded)
                if !forward.hasEnded { try await relay.exchange(3) }
            }
        }
    }

    @Test(arguments: Setup.all, Way.started)
    func aDeadlineForSendingEndsAWaitForRoom(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            _ = try await relay.fill()
            relay.destination.sendDeadline = .after(.seconds(1000))
            await relay.settle()
            #expect(!forward.hasEnded)
            let start = ContinuousClock.now
            relay.destination.sendDeadline = .after(.milliseconds(60))
            #expect(try await forward.end() == .failed(.send, .timedOut))
            #expect(ContinuousClock.now - start >= .milliseconds(60))
        }
    }

    /// The deadline for sending says nothing of a wait for bytes: it is the next message's.
    @Test(arguments: Setup.all, Way.all)
    func aDeadlineForSendingDoesNotEndAWaitForBytes(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            await relay.settle()
            relay.destination.sendDeadline = .now
            await relay.settle()
            #expect(!forward.hasEnded)
            relay.destination.sendDeadline = .never
            try await relay.exchange(4)
            relay.destination.sendDeadline = .now
            try relay.sender.rawSend([1])
            #expect(try await forward.end() == .failed(.send, .timedOut))
        }
    }

    /// And that for receiving says nothing of a wait for room.
    @Test(arguments: Setup.unix, Way.started)
    func aDeadlineForReceivingDoesNotEndAWaitForRoom(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(way.stage)
            let sent = try await relay.fill()
            relay.source.receiveDeadline = .now
            await relay.settle()
            relay.source.receiveDeadline = .after(.milliseconds(20))
            try await pass(.milliseconds(40), relay)
            #expect(!forward.hasEnded)
            relay.source.receiveDeadline = .never
            try relay.sender.finishSending()
            #expect(try await relay.reader.receive(exactly: sent.count) == sent)
            #expect(try await forward.end() == .finished(UInt64(count + sent.count)))
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func theIdleTimeoutOfTheSourceEndsAWaitForBytes(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            let start = ContinuousClock.now
            relay.source.idleTimeout = .milliseconds(60)
            // It holds for the waits that begin from now on.
            try? await relay.sender.send([1])
            #expect(try await forward.end() == .failed(.receive, .timedOut))
            #expect(ContinuousClock.now - start >= .milliseconds(60))
        }
    }

    /// That of the source is no limit of a wait for room, and that of the destination none of a wait for bytes.
    @Test(arguments: Setup.unix, [Stage.few, .many])
    func anIdleTimeoutIsOfItsOwnConnection(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            relay.destination.idleTimeout = .milliseconds(50)
            let more = try await relay.exchange(6)
            try await pass(.milliseconds(120), relay)
            #expect(!forward.hasEnded)
            relay.destination.idleTimeout = nil
            let more2 = try await relay.exchange(1)
            let sent = try await relay.fill()
            relay.source.idleTimeout = .milliseconds(50)
            try await pass(.milliseconds(120), relay)
            #expect(!forward.hasEnded)
            relay.source.idleTimeout = nil
            try relay.sender.finishSending()
            #expect(try await relay.reader.receive(exactly: sent.count) == sent)
            #expect(try await forward.end() == .finished(UInt64(count + more + more2 + sent.count)))
        }
    }

    @Test(arguments: Setup.all)
    func theIdleTimeoutIsOfASingleWaitAndNotOfTheirSum(_ setup: Setup) async throws {
        try await withTime(.milliseconds(250)) { idle in
            try await tryingForward(setup, echo: true) { relay in
                let forward = relay.forward()
                var count = try await relay.exchange(Stage.many)
                relay.source.idleTimeout = idle
                var speaker = Speaker(idle: idle)
                let start = ContinuousClock.now
                while ContinuousClock.now - start < idle * 3 {
                    let heard = try speaker.says { try relay.sender.rawSend([5]) == 1 && !forward.hasEnded }
                    #expect(heard)
                    guard heard else { return }
                    count += 1
                    try await pass(idle / 5, relay)
                }
                _ = try speaker.says {
                    try relay.sender.finishSending()
                    return true
                }
                let end = try await forward.end()
                if end != .finished(UInt64(count)), speaker.isTooSlow { throw TooSlow() }
                #expect(end == .finished(UInt64(count)))
            }
        }
    }

    /// Lets some time pass, by a wait of a socket that has nothing to do with it.
    private func pass(_ time: Duration, _ relay: ForwardTrial) async throws {
        let (one, other) = try Connection.pair()
        one.receiveDeadline = .after(time)
        #expect(try await cause { try await one.receive(upTo: 1) } == .timedOut)
        one.close()
        other.close()
    }
}
