@testable import Loops
import SocketCore
import TestSupport
import Testing

/// The last moments of a loop: its timers do not keep their owners alive. The address sanitizer is what finds a fault here.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct LoopEndTests {
    /// Does something at the very end of a loop, after the loop has last taken what other threads handed to it.
    private final class Last: Timed {
        private let action: () -> Void
        init(_ action: @escaping () -> Void) {
            self.action = action
            super.init()
        }

        override func fire(now: UInt64) -> UInt64 {
            if now == .max { action() }
            return .max
        }
    }

    @Test func aSocketThatRegistersAtTheVeryEndIsNotLookedAtAfterItHasGone() async throws {
        try await audited { _ in
            for _ in 0..<20 {
                let loop = try EventLoop(name: "closing")
                var pair: WaitablePair? = try WaitablePair()
                if let waitable = pair?.waitable {
                    // A wait that had an end, so that the loop will keep the time for the socket.
                    waitable.setDeadline(.after(.milliseconds(1)), .receive)
                    #expect(try await onThread { try waitable.waitOnceBlocking() } == .recheck)
                    waitable.adopt(loop)
                }
                let held = Lock(pair)
                pair = nil
                let last = Last {
                    registerElsewhere(held.withLock { $0?.waitable })
                    // From now on the loop has the only reference.
                    held.withLock { $0 = nil }
                }
                _ = loop.execute {
                    loop.local.pointee.timers.arm(last, at: Deadline.after(.seconds(3_600)).nanoseconds)
                }
                try await onThread { loop.close() }
                withExtendedLifetime(last) {}
            }
        }
    }

    /// How many tasks still wait.
    private final class Left: Sendable {
        let count: Lock<Int>
        init(_ count: Int) { self.count = Lock(count) }
    }

    /// Each wait has an entry in the loop's heap, and takes it out from another thread while the loop ends.
    @Test func waitsThatEndWhileTheirLoopEndsLeaveNothingInIt() async throws {
        for _ in 0..<100 {
            let loop = try EventLoop(name: "closing")
            let bells = (0..<8).map { _ in Bell() }
            let left = Left(bells.count)
            let waiting = bells.map { bell in
                Task(executorPreference: loop) {
                    for _ in 0..<50 { _ = try? await bell.wait(until: .after(.seconds(3_600)), .sleep) }
                    left.count.withLock { $0 -= 1 }
                }
            }
            // Two rings before one wait count once, and a wait after the loop's end is kept by another loop.
            let ringing = bells.map { bell in
                Task {
                    while left.count.withLock({ $0 > 0 }) {
                        bell.ring()
                        await Task.yield()
                    }
                }
            }
            try await onThread { loop.close() }
            try await within {
                for task in ringing + waiting { await task.value }
            }
        }
    }

    @Test func aClosedHeapTakesNothingIn() {
        var heap = TimerHeap()
        let owner = Timed()
        let isIn = heap.arm(owner, at: 5)
        let due = heap.popDue(now: .max)
        #expect(isIn && due === owner)
        heap.close()
        let isInAgain = heap.arm(owner, at: 5)
        #expect(!isInAgain && heap.next == .max && owner.armedAt == .max)
        heap.disarm(owner)
    }
}

/// Has a thread of its own register a socket, and waits until it has.
private func registerElsewhere(_ waitable: Waitable?) {
    let done = Bell()
    startThread {
        try? waitable?.register()
        done.ring()
    }
    done.waitBlockingAnyway(until: .never)
}
