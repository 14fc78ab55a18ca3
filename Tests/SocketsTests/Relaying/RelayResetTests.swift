import Sockets
import SystemPackage
import TestSupport
import Testing

/// B4, through a relay: a reset is passed on as a reset, behind all that had come before it.
@Suite("B4: a reset through a relay", .inTurn, .timeLimit(.minutes(10))) struct RelayResetTests {
    @Test(arguments: [Kind.tcp4, .unix], Runner.allCases)
    func aResetIsPassedOnBehindWhatCameBeforeIt(_ behind: Kind, _ runner: Runner) async throws {
        try await relaying(Sides(.tcp4, behind), by: runner) { _, relayed in
            try await relayed.near.send([1, 2, 3])
            try await eventually(patience, "its arrival") { (try? relayed.near.unacknowledged) == 0 }
            try relayed.near.reset()
            #expect(try await relayed.far.receive(exactly: 3) == [1, 2, 3])
            let rest = await rest(of: relayed.far)
            #expect(rest.bytes == [])
            // A Unix socket has no reset of its own.
            #expect(rest.cause == (behind == .unix ? nil : .system(.connectionReset)))
            try await relayed.end()
            #expect(relayed.relay.forth.failure?.isReset == true)
            #expect(relayed.relay.forth.failure?.operation == .receive)
            #expect(relayed.relay.forth.bytes == 3)
        }
    }

    @Test(arguments: [Kind.tcp4, .unix], Runner.allCases)
    func aResetOfTheFarSideIsPassedOnToo(_ front: Kind, _ runner: Runner) async throws {
        try await relaying(Sides(front, .tcp4), by: runner) { _, relayed in
            try await relayed.far.send([1, 2, 3])
            try await eventually(patience, "its arrival") { (try? relayed.far.unacknowledged) == 0 }
            try relayed.far.reset()
            #expect(try await relayed.near.receive(exactly: 3) == [1, 2, 3])
            let rest = await rest(of: relayed.near)
            #expect(rest.bytes == [])
            #expect(rest.cause == (front == .unix ? nil : .system(.connectionReset)))
            try await relayed.end()
            #expect(relayed.relay.back.failure?.isReset == true)
            #expect(relayed.relay.back.bytes == 3)
        }
    }

    /// What had come is still in the relay's socket when the reset comes, because the far side does not read yet.
    @Test(arguments: Runner.allCases)
    func aResetInMidTransferLosesNothingThatHadCome(_ runner: Runner) async throws {
        let tape = Tape(seed: 4)
        try await relaying(Sides(.tcp4, .tcp4), by: runner) { _, relayed in
            let (sent, arrived) = try await onThread { () -> (Int, Int) in
                // Until the whole way is full, and the relay's system takes no more.
                let sent = try relayed.near.stuff(with: tape)
                return (sent, try sent - relayed.near.unacknowledged)
            }
            #expect(relayed.relay.forth.bytes < arrived)
            try relayed.near.reset()
            let got = try await onThread { try tape.expectUntilEnd(from: relayed.far) }
            #expect(got.count >= arrived && got.count <= sent, "\(arrived) had come, and \(got.count) went on")
            #expect(got.error == .connectionReset)
            try await relayed.end()
            #expect(relayed.relay.forth.failure?.isReset == true)
        }
    }

    /// The reset of a side that takes a bulk transfer: the other hears of it though it only sends.
    @Test(arguments: Sides.all, Runner.allCases)
    func aSideThatBreaksInBulkEndsTheRelayAndTheOtherHearsOfIt(_ sides: Sides, _ runner: Runner) async throws {
        let tape = Tape(seed: 5)
        try await relaying(sides, by: runner) { _, relayed in
            let sending = Task {
                try await onThread { () -> Errno? in
                    do { try tape.send(0..<1 << 34, by: relayed.near) } catch let error as Errno { return error }
                    return nil
                }
            }
            try await onThread { try tape.expect(0..<8 << 20, from: relayed.far) }
            try relayed.far.reset()
            let error = try await sending.value
            #expect(error == .connectionReset || error == .brokenPipe)
            try await relayed.end()
            #expect(relayed.relay.forth.failure?.isReset == true)
            // But for the message that it broke.
            #expect(relayed.relay.forth.bytes >= (8 << 20) - 65536)
        }
    }

    /// A Unix socket tells who sends that nobody reads any more; TCP does not.
    @Test(arguments: [Kind.tcp4, .unix], Runner.allCases)
    func aSideThatTakesNoMoreIsHeardToItsEnd(_ front: Kind, _ runner: Runner) async throws {
        try await relaying(Sides(front, .unix), by: runner) { _, relayed in
            try relayed.far.stopReceiving()
            try await relayed.near.send([1])
            try await eventually(patience, "the failure") { relayed.relay.forth.failure != nil }
            #expect(relayed.relay.forth.failure?.operation == .send)
            try await relayed.far.send(pattern(300_000))
            try relayed.far.finishSending()
            #expect(try await relayed.near.receive(exactly: 300_000) == pattern(300_000))
            try await relayed.end()
            #expect(relayed.relay.back.failure == nil)
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func aClientThatClosedAfterItsQuestionEndsTheRelayWhenTheAnswerComes(_ sides: Sides, _ runner: Runner) async throws
    {
        try await relaying(sides, by: runner) { _, relayed in
            try await relayed.near.send([1])
            relayed.near.close()
            #expect(try await relayed.far.receiveAll() == [1])
            let sending = try await cause {
                while true { try await relayed.far.send(pattern(65536)) }
            }
            #expect(sending == .system(.connectionReset) || sending == .system(.brokenPipe))
            try await relayed.end()
            #expect(relayed.relay.back.failure?.isReset == true)
            #expect(relayed.relay.forth.failure == nil && relayed.relay.forth.bytes == 1)
        }
    }
}
