import Sockets
import TestSupport
import Testing

/// Much through a forward, in pieces of odd sizes: it arrives as it was sent.
@Suite(.inTurn) struct ForwardingMuchTests {
    @Test(arguments: Setup.all, [true, false])
    func mebibytesArriveIdentical(_ setup: Setup, _ echo: Bool) async throws {
        try await passes(4 << 20, setup, echo: echo, narrow: false)
    }

    @Test(arguments: Setup.all, [true, false])
    func mebibytesArriveIdenticalThroughSmallBuffers(_ setup: Setup, _ echo: Bool) async throws {
        try await passes(256 << 10, setup, echo: echo, narrow: true)
    }

    /// The kernel takes and gives what it likes.
    @Test(arguments: Setup.all, [Stage.few, .many])
    func shortReceivesAndSendsLoseNothing(_ setup: Setup, _ stage: Stage) async throws {
        try await relaying(setup, echo: true) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            for number in 1...400 {
                relay.ledger.make(.send, .shorten(to: 1 + number * 31 % 997), times: 1)
                relay.ledger.make(.receive, .shorten(to: 1 + number * 17 % 701), times: 1)
                if number % 10 == 0 { relay.ledger.make(.send, .fail(.interrupted), times: 1) }
                if number % 7 == 0 { relay.ledger.make(.receive, .fail(.interrupted), times: 1) }
            }
            let all = pattern(64 << 10)
            async let sent: Void = {
                try await relay.sender.send(all)
                try relay.sender.finishSending()
            }()
            #expect(try await relay.reader.receive(exactly: all.count) == all)
            try await sent
            #expect(try await forward.end() == .finished(UInt64(count + all.count)))
        }
    }

    private func passes(_ size: Int, _ setup: Setup, echo: Bool, narrow: Bool) async throws {
        try await relaying(setup, echo: echo) { relay in
            if narrow {
                try relay.sender.narrow(to: relay.source)
                try relay.destination.narrow(to: relay.reader)
            }
            let forward = relay.forward()
            let before = try await relay.exchange(Stage.many)
            async let sent: Void = send(size, relay.sender)
            try await expect(size, relay.reader, pausing: relay)
            try await sent
            #expect(try await forward.end() == .finished(UInt64(before + size)))
        }
    }

    /// Sends so much of a pattern that has no end, in pieces of odd sizes.
    private func send(_ size: Int, _ sender: Connection) async throws {
        let block = pattern(4099 * 64)
        var generator = SeededGenerator(seed: 1)
        var sent = 0
        while sent < size {
            let start = sent % 4099
            let count = min(Int.random(in: 1...200_001, using: &generator), size - sent)
            try await sender.send(Array(block[start..<start + count]))
            sent += count
        }
        try sender.finishSending()
    }

    /// Receives it, now fast and now slowly.
    private func expect(_ size: Int, _ reader: Connection, pausing relay: Relay) async throws {
        let block = pattern(4099 * 64)
        var generator = SeededGenerator(seed: 2)
        var got = 0
        while got < size {
            let most = generator.oneIn(4) ? Int.random(in: 1...999, using: &generator) : 131_072
            let piece = try #require(try await reader.receive(upTo: most), "all of it is to come")
            let start = got % 4099
            guard piece == Array(block[start..<start + piece.count]) else {
                Issue.record("another piece at \(got)")
                return
            }
            got += piece.count
            if generator.oneIn(50) { await relay.settle() }
        }
        #expect(got == size)
    }
}
