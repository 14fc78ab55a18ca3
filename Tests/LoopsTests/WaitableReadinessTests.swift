import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// What ends a wait for a descriptor, in a task and in a thread.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct WaitableReadinessTests {
    @Test func aTaskIsWokenOnItsLoopWhenTheSocketIsReady() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waiting = Task(executorPreference: loop) {
                let wake = try await pair.waitable.waitOnce()
                #expect(EventLoop.current === loop)
                #expect(pair.waitable.loop === loop)
                return wake
            }
            await loop.hasTurned()
            try pair.write()
            #expect(try await within { try await waiting.value } == .ready)
        }
    }

    @Test func anEdgeThatComesWhileNobodyWaitsEndsTheNextWait() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waits: @Sendable () async throws -> Wake = {
                try await within { try await withTaskExecutorPreference(loop) { try await pair.waitable.waitOnce() } }
            }
            try pair.write()
            #expect(try await waits() == .ready)
            try pair.drain()
            for _ in 0..<20 {
                try pair.write()
                // The loop has been told by now, and will not be told again.
                await loop.hasTurned()
                #expect(try await waits() == .ready)
                try pair.drain()
            }
        }
    }

    @Test func readinessIsUsedUpByTheWaitThatItEnds() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            try pair.write()
            let wakes = try await within {
                try await withTaskExecutorPreference(loop) {
                    let first = try await waitable.waitOnce()
                    await loop.hasTurned()
                    waitable.setDeadline(.after(.milliseconds(20)), .receive)
                    return [first, try await waitable.waitOnce()]
                }
            }
            #expect(wakes == [.ready, .recheck])
            #expect(waitable.hasTimedOut(.receive))
        }
    }

    @Test func theDirectionsAreReadyEachByItself() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let receiving = Task(executorPreference: loop) { try await pair.waitable.waitOnce(.receive) }
            let sending = Task(executorPreference: loop) { try await pair.waitable.waitOnce(.send) }
            #expect(try await within { try await sending.value } == .ready)
            try pair.write()
            #expect(try await within { try await receiving.value } == .ready)
        }
    }

    /// What ends a wait though nothing is ready.
    enum End: CaseIterable, Sendable {
        case close, deadlineInThePast, deadlineSoon, deadlineAhead, idleTimeout, recheck
    }

    @Test(arguments: End.allCases, [true, false])
    func aWaitEndsForEachOfItsReasons(end: End, isBlocking: Bool) async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            waitable.adopt(loop)
            // These two are there from the start.
            if end == .deadlineAhead { waitable.setDeadline(.after(.milliseconds(30)), .receive) }
            if end == .idleTimeout { waitable.idleTimeout = .milliseconds(30) }
            let waiting = Task {
                isBlocking
                    ? try await onThread { try waitable.waitOnceBlocking() } : try await waitable.waitOnce()
            }
            try await eventually {
                waitable.tryTakeTurnBriefly(.receive) == .busy || end == .deadlineAhead || end == .idleTimeout
            }
            await loop.hasTurned()
            switch end {
            case .close: waitable.close()
            case .deadlineInThePast: waitable.setDeadline(.now, .receive)
            case .deadlineSoon: waitable.setDeadline(.after(.milliseconds(20)), .receive)
            case .recheck: loop.close()
            case .deadlineAhead, .idleTimeout: break
            }
            if end == .recheck && isBlocking {
                // A thread waits by itself: it ends with the socket, not with a loop that it does not use.
                waitable.close()
            }
            #expect(try await within { try await waiting.value } == .recheck)
            switch end {
            case .close: #expect(waitable.isClosed)
            case .recheck: #expect(waitable.isLoopClosed)
            case .deadlineAhead, .idleTimeout: #expect(waitable.hasTimedOut(.receive))
            case .deadlineInThePast, .deadlineSoon:
                // Woken to look again; the wait that is taken up again keeps the new deadline.
                let again = try await within {
                    isBlocking
                        ? try await onThread { try waitable.waitOnceBlocking() } : try await waitable.waitOnce()
                }
                #expect(again == .recheck)
                #expect(waitable.hasTimedOut(.receive))
            }
        }
    }

    @Test func aCancellationEndsAWait() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waiting = Task(executorPreference: loop) {
                let wake = try await pair.waitable.waitOnce()
                return wake == .recheck && Task.isCancelled
            }
            await loop.hasTurned()
            waiting.cancel()
            #expect(try await within { try await waiting.value })
            // The socket is as it was: another may wait, and is woken.
            let other = Task(executorPreference: loop) { try await pair.waitable.waitOnce() }
            await loop.hasTurned()
            try pair.write()
            #expect(try await within { try await other.value } == .ready)
        }
    }

    @Test(arguments: [true, false]) func aChangeThatFindsNoWaiterNeitherEndsTheNextWaitNorTakesReadiness(
        isBlocking: Bool
    ) async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            waitable.adopt(loop)
            let waits: @Sendable () async throws -> Wake = {
                isBlocking
                    ? try await onThread { try waitable.waitOnceBlocking() } : try await waitable.waitOnce()
            }
            waitable.recheck()
            waitable.setDeadline(.after(.milliseconds(20)), .receive)
            #expect(try await within { try await waits() } == .recheck)
            #expect(waitable.hasTimedOut(.receive))
            waitable.setDeadline(.never, .receive)
            for _ in 0..<3 {
                // Both in the word, in either order.
                waitable.recheck()
                waitable.retry(.receive)
                waitable.recheck()
                #expect(try await within { try await waits() } == .ready)
            }
            let waiting = Task { try await waits() }
            try await eventually { waitable.tryTakeTurnBriefly(.receive) == .busy }
            waitable.retry(.receive)
            #expect(try await within { try await waiting.value } == .ready)
        }
    }

    @Test func aCancellationBeforeTheWaitEndsIt() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            for round in 0..<200 {
                // Off the loop, so that the cancellation comes at any moment of the wait's beginning.
                let waiting = Task { try await waitable.waitOnce() }
                for _ in 0..<round { await Task.yield() }
                waiting.cancel()
                #expect(try await within { try await waiting.value } == .recheck)
                #expect(waitable.tryTakeTurn(.receive) == .mine)
                let queueing = Task { try await waitable.waitForTurn(.receive, for: .receive) }
                for _ in 0..<round { await Task.yield() }
                queueing.cancel()
                #expect(try await within { try await queueing.value } == .recheck)
                waitable.giveTurn(.receive)
            }
        }
    }

    @Test func aThreadIsWokenWhenTheSocketIsReady() async throws {
        let pair = try WaitablePair()
        defer { pair.close() }
        for _ in 0..<50 {
            let waiting = Task { try await onThread { try pair.waitable.waitOnceBlocking() } }
            try pair.write()
            #expect(try await within { try await waiting.value } == .ready)
            try pair.drain()
        }
    }

    @Test func aThreadThatQueuesIsWokenByATurnADeadlineOrAClose() async throws {
        let pair = try WaitablePair()
        defer { pair.close() }
        let waitable = pair.waitable
        #expect(waitable.tryTakeTurn(.receive) == .mine)
        let queues: @Sendable () async throws -> Wake = {
            try await onThread { try waitable.waitForTurnBlocking(.receive, for: .receive) }
        }
        let first = Task { try await queues() }
        waitable.giveTurn(.receive)
        #expect(try await within { try await first.value } == .ready)
        waitable.setDeadline(.after(.milliseconds(10)), .receive)
        #expect(try await within { try await queues() } == .recheck)
        waitable.setDeadline(.never, .receive)
        let last = Task { try await queues() }
        waitable.close()
        #expect(try await within { try await last.value } == .recheck)
        waitable.giveTurn(.receive)
    }

    @Test func aQueueForATurnHeedsDeadlinesThatChange() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            let waitable = pair.waitable
            #expect(waitable.tryTakeTurn(.send) == .mine)
            waitable.setDeadline(.after(.milliseconds(20)), .send)
            let queued = Task(executorPreference: loop) { try await waitable.waitForTurn(.send, for: .send) }
            #expect(try await within { try await queued.value } == .recheck)
            waitable.setDeadline(.never, .send)
            let other = Task(executorPreference: loop) { try await waitable.waitForTurn(.send, for: .send) }
            await loop.hasTurned()
            waitable.setDeadline(.now, .send)
            #expect(try await within { try await other.value } == .recheck)
            waitable.giveTurn(.send)
        }
    }

    @Test func wakesAndCancellationsAtTheSameMomentEndEachWaitOnce() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            try await within {
                for round in 0..<1_000 {
                    let waiting = Task(executorPreference: loop) { try await pair.waitable.waitOnce() }
                    if round % 2 == 0 { waiting.cancel() }
                    try pair.write()
                    if round % 3 == 0 { pair.waitable.setDeadline(.never, .receive) }
                    _ = try await waiting.value
                    try pair.drain()
                }
            }
        }
    }
}

extension Waitable {
    /// Whether the turn is free, without keeping it.
    fileprivate func tryTakeTurnBriefly(_ direction: Direction) -> Turn {
        let turn = tryTakeTurn(direction)
        if turn == .mine { giveTurn(direction) }
        return turn
    }
}
