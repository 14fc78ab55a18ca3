import Loops
import SocketCore
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A loop as the executor of tasks: where they run, in what order, and that every one of them does.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EventLoopTests {
    /// The ways in which a task gives up its thread for a while.
    enum Pause: CaseIterable, Sendable {
        case yield, nonisolatedCall, concurrentCall, actorCall, groupChild, discardingGroupChild, asyncLet
        case resumedElsewhere, clockSleep, loopSleep, otherTask, otherLoop
    }

    @Test(arguments: Pause.allCases)
    func afterEveryAwaitATaskIsOnItsLoopAgain(pause: Pause) async throws {
        try await withLoop { loop in
            try await within {
                try await withTaskExecutorPreference(loop) {
                    for _ in 0..<20 {
                        #expect(EventLoop.current === loop)
                        #expect(loop.isCurrent)
                        try await perform(pause, in: loop)
                        #expect(EventLoop.current === loop, "after \(pause)")
                    }
                }
            }
        }
    }

    private func perform(_ pause: Pause, in loop: EventLoop) async throws {
        switch pause {
        case .yield: await Task.yield()
        case .nonisolatedCall: #expect(await nonisolatedLoop() === loop)
        case .concurrentCall: #expect(await concurrentLoop() === loop)
        case .actorCall: #expect(await Place().loop === loop)
        case .groupChild:
            await withTaskGroup(of: EventLoop?.self) { group in
                for _ in 0..<3 { group.addTask { EventLoop.current } }
                for await found in group { #expect(found === loop) }
            }
        case .discardingGroupChild:
            await withDiscardingTaskGroup { group in
                for _ in 0..<3 { group.addTask { #expect(EventLoop.current === loop) } }
            }
        case .asyncLet:
            async let one = EventLoop.current
            async let other = concurrentLoop()
            #expect(await one === loop)
            #expect(await other === loop)
        case .resumedElsewhere:
            await withCheckedContinuation { continuation in startThread { continuation.resume() } }
        case .clockSleep: try await Task.sleep(for: .microseconds(10))
        case .loopSleep: try await EventLoop.sleep(for: .microseconds(10))
        case .otherTask: #expect(await Task.detached { EventLoop.current == nil }.value)
        case .otherLoop:
            try await withLoop { other in
                await withTaskExecutorPreference(other) { #expect(EventLoop.current === other) }
            }
        }
    }

    @Test func outsideOfALoopThereIsNone() async throws {
        #expect(EventLoop.current == nil)
        try await withLoop { loop in
            await withTaskExecutorPreference(loop) { #expect(EventLoop.current === loop) }
            #expect(EventLoop.current == nil)
            #expect(!loop.isCurrent)
        }
    }

    /// Woken by the first of what somebody sends, it would stop him on a processor that they share.
    @Test func aLoopThatDoesNotPreemptTakesTheProcessorFromNobodyAndOtherThreadsAreAsTheyWere() async throws {
        for preempts in [false, true] {
            let group = try EventLoopGroup(loops: 1, preempts: preempts)
            let policy = await withTaskExecutorPreference(group.next()) { sched_getscheduler(0) }
            // 3 is SCHED_BATCH, which the module leaves out.
            #expect(policy == (preempts ? SCHED_OTHER : 3))
            #expect(sched_getscheduler(getpid()) == SCHED_OTHER)
            group.close()
        }
    }

    @Test func jobsOfAnotherThreadRunInTheOrderTheyCame() async throws {
        try await withLoop { loop in
            let log = Notes<Int>()
            try await within {
                let tasks = (0..<2_000).map { index in Task(executorPreference: loop) { log.add(index) } }
                for task in tasks { await task.value }
            }
            #expect(log.all == Array(0..<2_000))
        }
    }

    @Test func jobsOfTheLoopsOwnThreadRunInTheOrderTheyCame() async throws {
        try await withLoop { loop in
            let log = Notes<Int>()
            try await within {
                await withTaskExecutorPreference(loop) {
                    let tasks = (0..<500).map { index in
                        Task(executorPreference: loop) {
                            for round in 0..<3 {
                                log.add(round * 500 + index)
                                await Task.yield()
                            }
                        }
                    }
                    for task in tasks { await task.value }
                }
            }
            // Each goes to the end of the queue when it yields, so that none gets ahead of the others.
            #expect(log.all == Array(0..<1_500))
        }
    }

    @Test func anActionRunsAtOnceOnTheLoopAndSoonFromElsewhere() async throws {
        try await withLoop { loop in
            let ranOnLoop = await withCheckedContinuation { continuation in
                _ = loop.execute { continuation.resume(returning: loop.isCurrent) }
            }
            #expect(ranOnLoop)
            await withTaskExecutorPreference(loop) {
                var hasRun = false
                #expect(loop.execute { hasRun = true })
                #expect(hasRun)
            }
        }
    }

    // A push that finds the loop about to sleep must wake it. Each round trip lets it fall asleep again.
    @Test func noJobFromAnyThreadIsLost() async throws {
        try await withLoop { loop in
            let log = Notes<Int>()
            try await within {
                await withTaskGroup { group in
                    for _ in 0..<4 {
                        group.addTask {
                            for _ in 0..<5_000 {
                                await withCheckedContinuation { continuation in
                                    let isTaken = loop.execute {
                                        log.add(1)
                                        continuation.resume()
                                    }
                                    #expect(isTaken)
                                }
                            }
                        }
                    }
                }
            }
            #expect(log.all.count == 20_000)
        }
    }

    @Test func aBallPassedBetweenTwoLoopsNeverStops() async throws {
        try await withLoop { one in
            try await withLoop { other in
                let hits = try await within {
                    let toOne = Bell()
                    let toOther = Bell()
                    let far = Task(executorPreference: other) {
                        for _ in 0..<10_000 {
                            _ = try await toOther.wait(until: .never, .sleep)
                            toOne.ring()
                        }
                    }
                    let near = Task(executorPreference: one) {
                        var hits = 0
                        for _ in 0..<10_000 {
                            toOther.ring()
                            if try await toOne.wait(until: .never, .sleep) { hits += 1 }
                        }
                        return hits
                    }
                    try await far.value
                    return try await near.value
                }
                #expect(hits == 10_000)
            }
        }
    }
}

/// A loop whose queue of jobs is never empty.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EventLoopFairnessTests {
    /// Runs `body` beside tasks that always have something to do.
    private func besideBusyTasks(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
        try await withLoop { loop in
            let busy = (0..<200).map { _ in
                Task(executorPreference: loop) { while !Task.isCancelled { await Task.yield() } }
            }
            defer { for task in busy { task.cancel() } }
            try await within { try await body(loop) }
        }
    }

    @Test func timersAreNotStarved() async throws {
        try await besideBusyTasks { loop in
            try await withTaskExecutorPreference(loop) {
                for _ in 0..<5 { try await EventLoop.sleep(for: .milliseconds(2)) }
            }
        }
    }

    @Test func socketsAreNotStarved() async throws {
        try await besideBusyTasks { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            for _ in 0..<20 {
                let waiting = Task(executorPreference: loop) { try await pair.waitable.waitOnce() }
                try pair.write()
                #expect(try await waiting.value == .ready)
                try pair.drain()
            }
        }
    }

    @Test func jobsFromOtherThreadsAreNotStarved() async throws {
        try await besideBusyTasks { loop in
            for _ in 0..<20 { await Task(executorPreference: loop) {}.value }
        }
    }
}

private nonisolated func nonisolatedLoop() async -> EventLoop? { EventLoop.current }

@concurrent private func concurrentLoop() async -> EventLoop? { EventLoop.current }

private actor Place {
    var loop: EventLoop? { EventLoop.current }
}
