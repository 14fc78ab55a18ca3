import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// Two waits where only one can be: a fault of the library's own, which must neither hang nor take the first one's wake.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct TwoWaitsTests {
    @Test func aSecondWaitInADirectionIsRefused() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            let first = Task(executorPreference: loop) { try await waitable.waitOnce() }
            await loop.hasTurned()
            // Without the turn, which the first one has.
            #expect(try await within { await waitable.wait(for: .receive) } == .refused)
            #expect(try await onThread { try waitable.waitBlocking(for: .receive) } == .refused)
            // The other direction is free.
            #expect(try await within { try await waitable.waitOnce(.send) } == .ready)
            try pair.write()
            #expect(try await within { try await first.value } == .ready)
        }
    }

    @Test(arguments: [Deadline.never, .after(.seconds(3_600))])
    func aSecondWaitForABellIsRefused(deadline: Deadline) async throws {
        try await withLoop { loop in
            let bell = Bell()
            let first = Task(executorPreference: loop) { try await bell.wait(until: deadline, .sleep) }
            await loop.hasTurned()
            let second = await cause { _ = try await bell.wait(until: deadline, .sleep) }
            #expect(second == .misuse("another wait is under way in this direction"))
            let third = try await onThread { Result { try bell.waitBlocking(until: .never) } }
            #expect(throws: Errno.alreadyInProcess) { try third.get() }
            bell.ring()
            #expect(try await within { try await first.value })
        }
    }

    @Test func aSocketThatIsWaitedForIsNotRaced() async throws {
        try await withLoop { loop in
            let (busy, free) = (try WaitablePair(), try WaitablePair())
            defer { for pair in [busy, free] { pair.close() } }
            busy.waitable.adopt(loop)
            free.waitable.adopt(loop)
            let first = Task(executorPreference: loop) { try await busy.waitable.waitOnce() }
            await loop.hasTurned()
            let race = await cause {
                try await Waitable.wait(
                    forAnyOf: [free.waitable, busy.waitable], .receive, until: .never, .connect)
            }
            #expect(race == .misuse("another wait is under way in this direction"))
            // Nothing of the race is left in the socket that was free.
            try free.write()
            #expect(try await within { try await free.waitable.waitOnce() } == .ready)
            try busy.write()
            #expect(try await within { try await first.value } == .ready)
        }
    }
}
