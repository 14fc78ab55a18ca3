import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// Waiting for another's word, in tasks and in threads.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct BellTests {
    @Test(arguments: [Deadline.never, .after(.seconds(3_600))])
    func aRingBeforeTheWaitEndsIt(deadline: Deadline) async throws {
        let bell = Bell()
        bell.ring()
        #expect(try await within { try await bell.wait(until: deadline, .sleep) })
        bell.ring()
        #expect(try await onThread { try bell.waitBlocking(until: deadline) })
    }

    @Test(arguments: [Deadline.never, .after(.seconds(3_600))], [true, false])
    func aRingDuringTheWaitEndsIt(deadline: Deadline, isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let bell = Bell()
            let waiting = Task(executorPreference: isOnLoop ? loop : nil) {
                try await bell.wait(until: deadline, .sleep)
            }
            await loop.hasTurned()
            bell.ring()
            let hasRung = try await within { try await waiting.value }
            #expect(hasRung)
        }
    }

    @Test func manyRingsBeforeAWaitAreOne() async throws {
        let bell = Bell()
        for _ in 0..<3 { bell.ring() }
        #expect(try await within { try await bell.wait(until: .now, .sleep) })
        #expect(try await within { try await bell.wait(until: .now, .sleep) } == false)
        for _ in 0..<3 { bell.ring() }
        #expect(try await onThread { try bell.waitBlocking(until: .now) })
        #expect(try await onThread { try bell.waitBlocking(until: .now) } == false)
    }

    @Test func withoutARingAWaitLastsUntilItsTime() async throws {
        let bell = Bell()
        for isBlocking in [true, false] {
            let deadline = Deadline.after(.milliseconds(20))
            let hasRung =
                isBlocking
                ? try await onThread { try bell.waitBlocking(until: deadline) }
                : try await within { try await bell.wait(until: deadline, .sleep) }
            #expect(!hasRung)
            #expect(deadline.isPast)
        }
        // A wait that timed out does not use up a later ring.
        bell.ring()
        #expect(try await within { try await bell.wait(until: .never, .sleep) })
    }

    @Test(arguments: [Deadline.never, .after(.seconds(3_600))])
    func aCancellationEndsTheWait(deadline: Deadline) async throws {
        try await withLoop { loop in
            let bell = Bell()
            let waiting = Task(executorPreference: loop) {
                await cause { _ = try await bell.wait(until: deadline, .accept) }
            }
            await loop.hasTurned()
            waiting.cancel()
            let found = try await within { await waiting.value }
            #expect(found == .cancelled)
            // The ring is for the next who waits.
            bell.ring()
            #expect(try await within { try await bell.wait(until: .never, .sleep) })
        }
    }

    @Test func aThreadIsWokenByARingFromAnother() async throws {
        let bell = Bell()
        let answer = Bell()
        async let rounds = onThread {
            var rounds = 0
            for _ in 0..<2_000 {
                if try bell.waitBlocking(until: .after(patience)) { rounds += 1 }
                answer.ring()
            }
            return rounds
        }
        async let answers = onThread {
            var answers = 0
            for _ in 0..<2_000 {
                bell.ring()
                if try answer.waitBlocking(until: .never) { answers += 1 }
            }
            return answers
        }
        #expect(try await rounds == 2_000)
        #expect(try await answers == 2_000)
    }

    // Off the loops each wait may be kept by another loop, which hears of the last one's end only later.
    @Test func aBellThatWasRungCanBeWaitedForAgainAtOnce() async throws {
        try await within {
            try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        let bell = Bell()
                        for _ in 0..<500 {
                            async let ringing: Void = ringElsewhere(bell)
                            let hasRung = try await bell.wait(until: .after(.seconds(3_600)), .sleep)
                            #expect(hasRung)
                            await ringing
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aThreadThatCannotPollDoesNotTakeTheNextRing() async throws {
        try await audited { ledger in
            let bell = Bell()
            ledger.make(.poll, .fail(.noMemory))
            let interposer = Interposer.current
            let failed = try await onThread {
                let found = Result { try bellWait(bell, under: interposer) }
                // Nobody waits now, so the ring is kept for whoever does next.
                bell.ring()
                return found
            }
            let hasRung = try await within { try await bell.wait(until: .after(patience), .sleep) }
            #expect(hasRung)
            #expect(throws: Errno.noMemory) { try failed.get() }
        }
    }

    @Test func aSignalDoesNotEndABlockingWait() async throws {
        try await audited { ledger in
            let bell = Bell()
            ledger.make(.poll, .fail(.interrupted), times: 3)
            let interposer = Interposer.current
            let deadline = Deadline.after(.milliseconds(5))
            let hasRung = try await onThread { try bellWait(bell, under: interposer, until: deadline) }
            #expect(!hasRung && deadline.isPast)
            #expect(ledger.count(of: .poll) >= 4)
        }
    }

    @Test func aWaitThatMustNotFailNeedsNoDescriptorAndDoesNotSpin() async throws {
        try await audited { ledger in
            ledger.make(.eventfd, .fail(.tooManyOpenFiles), times: .max)
            let bell = Bell()
            let start = ContinuousClock.now
            async let rang = onThread { bell.waitBlockingAnyway(until: .after(patience)) }
            // Each look is followed by a pause, so this many take a while.
            try await ledger.sees(.eventfd, 5)
            #expect(ContinuousClock.now - start >= .milliseconds(1 + 2 + 4 + 8))
            bell.ring()
            #expect(try await rang)
            #expect(try await onThread { bell.waitBlockingAnyway(until: .after(.milliseconds(1))) } == false)
        }
    }
}

@concurrent private func ringElsewhere(_ bell: Bell) async {
    bell.ring()
}

/// Waits under an interposer: a thread of its own is in no task, and inherits none.
private func bellWait(
    _ bell: Bell, under interposer: Interposer?, until deadline: Deadline = .after(patience)
) throws -> Bool {
    guard let interposer else { return try bell.waitBlocking(until: deadline) }
    return try interposer.whileInForce { try bell.waitBlocking(until: deadline) }
}
