import Sockets
import TestSupport
import Testing

/// Peers that do not read, and peers that never stop sending: neither keeps another client of the loop from its answers.
@Suite(.inTurn) struct ForwardingPressureTests {
    @Test(arguments: Setup.all, Way.started)
    func aPeerIsHeldBackWhileNobodyReadsAndOthersAreServed(_ setup: Setup, _ way: Way) async throws {
        try await relaying(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(way.stage)
            let sent = try await relay.fill()
            #expect(!sent.isEmpty)
            let receives = relay.ledger.count(of: .receive)
            let sends = relay.ledger.count(of: .send)
            let other = try await relay.another()
            for round in 0..<20 as Range<UInt8> {
                try await other.send([round])
                #expect(try await other.receive(upTo: 9) == [round])
            }
            other.close()
            // It waits instead of trying again and again.
            #expect(relay.ledger.count(of: .receive) - receives < 150)
            #expect(relay.ledger.count(of: .send) - sends < 100)
            try relay.sender.finishSending()
            #expect(try await relay.reader.receive(exactly: sent.count) == sent)
            #expect(try await forward.end() == .finished(UInt64(count + sent.count)))
        }
    }

    /// Held back and let go, again and again.
    @Test(arguments: Setup.all, [true, false])
    func itGoesOnWheneverTheReaderDoes(_ setup: Setup, _ echo: Bool) async throws {
        try await relaying(setup, echo: echo) { relay in
            let forward = relay.forward()
            var count = try await relay.exchange(Stage.many)
            for round in 0..<4 {
                let sent = try await relay.fill(seed: UInt64(round))
                #expect(try await relay.reader.receive(exactly: sent.count) == sent)
                count += sent.count
                count += try await relay.exchange(3)
            }
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }

    @Test(arguments: Setup.all, [true, false])
    func aFirehoseDoesNotKeepOthersFromTheirAnswers(_ setup: Setup, _ echo: Bool) async throws {
        try await flooded(setup, echo: echo) { relay, hose, forward in
            let other = try await relay.another()
            for round in 0..<60 as Range<UInt8> {
                try await other.send([round])
                #expect(try await other.receive(upTo: 9) == [round])
            }
            other.close()
            #expect(!forward.hasEnded)
            // And goes on itself.
            try await hose.passes(10_000)
        }
    }

    /// What has nothing to do with sockets has its turns too.
    @Test(arguments: Setup.all.filter { $0.place != .off })
    func aFirehoseDoesNotKeepTasksAndTimersFromTheirs(_ setup: Setup) async throws {
        try await flooded(setup, echo: true) { relay, hose, forward in
            for _ in 0..<30 {
                let task = Task(executorPreference: relay.group.loops[0]) {
                    try await EventLoop.sleep(for: .milliseconds(1))
                }
                try await within(patience, "a task's turn") { try await task.value }
            }
            #expect(!forward.hasEnded)
        }
    }

    @Test(arguments: Setup.all, [true, false])
    func aFirehoseCanBeCancelled(_ setup: Setup, _ echo: Bool) async throws {
        try await flooded(setup, echo: echo) { relay, hose, forward in
            forward.cancel()
            let end = try await forward.end()
            #expect(end == .failed(.receive, .cancelled) || end == .failed(.send, .cancelled))
        }
    }

    @Test(arguments: Setup.all, [true, false])
    func aFirehoseCanBeClosedAtItsSource(_ setup: Setup, _ echo: Bool) async throws {
        try await flooded(setup, echo: echo) { relay, hose, forward in
            relay.source.close()
            let end = try await forward.end()
            #expect(end == .failed(.receive, .closed) || echo && end == .failed(.send, .closed))
        }
    }

    @Test(arguments: Setup.all)
    func aFirehoseCanBeClosedAtItsDestination(_ setup: Setup) async throws {
        try await flooded(setup, echo: false) { relay, hose, forward in
            relay.destination.close()
            let end = try await forward.end()
            #expect(end == .failed(.send, .closed))
        }
    }

    /// A deadline in the past fails every receive, and every send, also where none would have to wait.
    @Test(arguments: Setup.all, [SocketError.Operation.receive, .send])
    func aFirehoseHeedsTheDeadlines(_ setup: Setup, _ operation: SocketError.Operation) async throws {
        for isLater in [false, true] {
            try await flooded(setup, echo: true) { relay, hose, forward in
                let deadline: Deadline = isLater ? .after(.milliseconds(50)) : .now
                if operation == .send {
                    relay.destination.sendDeadline = deadline
                } else {
                    relay.source.receiveDeadline = deadline
                }
                let end = try await forward.end()
                #expect(end == .failed(operation, .timedOut))
            }
        }
    }

    @Test(arguments: Setup.all.filter { $0.place != .off })
    func aFirehoseEndsWithItsLoops(_ setup: Setup) async throws {
        try await flooded(setup, echo: true) { relay, hose, forward in
            try await onThread { relay.group.close() }
            let end = try await forward.end()
            #expect(end == .failed(.receive, .closed) || end == .failed(.send, .closed), "\(end)")
        }
    }

    /// A relay through which a firehose runs.
    private func flooded(
        _ setup: Setup, echo: Bool, _ body: @escaping @Sendable (Relay, Firehose, Forwarding) async throws -> Void
    ) async throws {
        try await relaying(setup, echo: echo) { relay in
            let forward = relay.forward(upTo: 16)
            try await relay.exchange(5)
            let hose = try Firehose(into: relay.sender, outOf: relay.reader)
            do {
                try await hose.passes(10_000)
                try await body(relay, hose, forward)
            } catch {
                try await hose.close()
                throw error
            }
            try await hose.close()
        }
    }
}
