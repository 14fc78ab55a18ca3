@testable import Loops
import SocketCore
import TestSupport
import Testing

/// What is assumed of the runtime's data: that it is so, that the check tells when it is not, and that all works without it.
@Suite(.inTurn, .serialized, .timeLimit(.minutes(10))) struct RuntimeLayoutTests {
    @Test func theRuntimeIsAsAssumed() {
        for _ in 0..<100 { #expect(RuntimeLayout.isAsAssumed()) }
    }

    /// The last one cannot be read: the kernel says so, and the process goes on.
    @Test(arguments: [0, 8, 16, 1 << 46]) func aFrameThatIsNotWhereItShouldBeIsNoticed(offset: Int) {
        #expect(!RuntimeLayout.isAsAssumed(frameOffset: offset))
    }

    @Test func theFirstLoopChecks() async throws {
        try await withLoop { _ in #expect(RuntimeLayout.isTrusted) }
    }

    /// Waits of each kind, with readiness, cancellations and deadlines at any moment.
    @Test(arguments: [true, false]) func waitsAndCancellationsWorkWithTheLayoutAndWithout(isTrusted: Bool) async throws
    {
        try await withLoop { loop in
            RuntimeLayout.setTrusted(isTrusted)
            defer { RuntimeLayout.setTrusted(true) }
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            for round in 0..<300 {
                let waiting = Task(executorPreference: round % 2 == 0 ? loop : nil) { try await waitable.waitOnce() }
                if round % 5 == 0 { try await sees(waiterIn: waitable, isTrusted) }
                if round % 3 == 0 { waiting.cancel() } else { try pair.write() }
                let wake = try await within { try await waiting.value }
                #expect(wake == (round % 3 == 0 ? .recheck : .ready))
                try pair.drain()
                await loop.hasTurned()
                // What is remembered is not for the next round.
                _ = waitable.receiving.takeReady()
            }
            try await waitsForBellsAndTurns(waitable, loop)
        }
    }

    private func waitsForBellsAndTurns(_ waitable: Waitable, _ loop: EventLoop) async throws {
        let bell = Bell()
        #expect(try await within { try await bell.wait(until: .after(.milliseconds(1)), .sleep) } == false)
        let rung = Task(executorPreference: loop) { try await bell.wait(until: .never, .sleep) }
        await loop.hasTurned()
        bell.ring()
        #expect(try await within { try await rung.value })
        #expect(waitable.tryTakeTurn(.receive) == .mine)
        let queued = Task(executorPreference: loop) { try await waitable.waitForTurn(.receive, for: .receive) }
        let cancelled = Task(executorPreference: loop) { try await waitable.waitForTurn(.receive, for: .receive) }
        await loop.hasTurned()
        cancelled.cancel()
        #expect(try await within { try await cancelled.value } == .recheck)
        waitable.giveTurn(.receive)
        #expect(try await within { try await queued.value } == .ready)
        waitable.giveTurn(.receive)
    }

    /// Waits until a waiter is in the word, and looks which kind it is: a debug build has a box in any case.
    private func sees(waiterIn waitable: Waitable, _ isTrusted: Bool) async throws {
        try await eventually { waitable.receiving.peek > 3 }
        #if DEBUG
            #expect(waitable.receiving.peek & 0b1110 == 0b1100)
        #else
            #expect(waitable.receiving.peek & 0b1110 == (isTrusted ? 0 : 0b1100))
        #endif
    }

    /// The answer may change while waits are under way: a waiter's word says what it is.
    @Test func aWaiterIsResumedThoughTheAnswerHasChanged() async throws {
        try await withLoop { loop in
            defer { RuntimeLayout.setTrusted(true) }
            for isTrusted in [true, false, true] {
                let pair = try WaitablePair()
                RuntimeLayout.setTrusted(isTrusted)
                let waiting = Task(executorPreference: loop) { try await pair.waitable.waitOnce() }
                await loop.hasTurned()
                RuntimeLayout.setTrusted(!isTrusted)
                try pair.write()
                #expect(try await within { try await waiting.value } == .ready)
                pair.close()
            }
        }
    }
}
