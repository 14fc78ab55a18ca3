import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// The end of a loop: all that waits in it ends, once, and nothing of it is left.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EventLoopClosingTests {
    @Test func everythingThatWaitsEndsExactlyOnce() async throws {
        try await audited { _ in
            let loop = try EventLoop(name: "closing")
            let pairs = try (0..<50).map { _ in try WaitablePair() }
            let log = Notes<SocketError.Cause?>()
            let wakes = Notes<Wake>()
            let tasks = pairs.flatMap { pair in
                [
                    Task(executorPreference: loop) { wakes.add(try await pair.waitable.waitOnce()) },
                    Task(executorPreference: loop) {
                        log.add(await cause { try await EventLoop.sleep(for: .seconds(3_600)) })
                    },
                ]
            }
            await loop.hasTurned()
            #expect(log.all.count == 0 && wakes.all.count == 0)
            loop.close()
            try await within { for task in tasks { try await task.value } }
            // A continuation that is resumed a second time would trap in a debug build.
            #expect(log.all == Array(repeating: .closed, count: 50))
            #expect(wakes.all == Array(repeating: .recheck, count: 50))
            for pair in pairs {
                #expect(pair.waitable.isLoopClosed)
                pair.close()
            }
        }
    }

    @Test func aTaskElsewhereThatWaitsInTheLoopIsWokenToo() async throws {
        try await audited { _ in
            let loop = try EventLoop(name: "closing")
            let pair = try WaitablePair()
            defer { pair.close() }
            pair.waitable.adopt(loop)
            let waiting = Task { try await pair.waitable.waitOnce() }
            await loop.hasTurned()
            loop.close()
            #expect(try await within { try await waiting.value } == .recheck)
            // And none can begin: a wait in a loop that has ended would have nobody to end it.
            #expect(try await within { try await pair.waitable.waitOnce() } == .recheck)
        }
    }

    @Test func aTaskThatQueuesForATurnIsWokenToo() async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            #expect(pair.waitable.tryTakeTurn(.receive) == .mine)
            let queued = Task(executorPreference: loop) { try await pair.waitable.waitForTurn(.receive, for: .receive) }
            await loop.hasTurned()
            loop.close()
            #expect(try await within { try await queued.value } == .recheck)
            pair.waitable.giveTurn(.receive)
        }
    }

    @Test func tasksPinnedToAClosedLoopStillComeToTheirEnd() async throws {
        let loop = try EventLoop(name: "closing")
        let gate = Bell()
        let began = Task(executorPreference: loop) {
            #expect(EventLoop.current === loop)
            _ = try await gate.wait(until: .never, .sleep)
            await Task.yield()
            return EventLoop.current == nil
        }
        await loop.hasTurned()
        loop.close()
        gate.ring()
        #expect(try await within { try await began.value })
        let late = Task(executorPreference: loop) { EventLoop.current == nil }
        #expect(try await within { await late.value })
        #expect(!loop.execute { Issue.record("an action ran in a loop that has ended") })
    }

    @Test func jobsThatAreQueuedRunBeforeTheEnd() async throws {
        let loop = try EventLoop(name: "closing")
        let log = Notes<Bool>()
        let tasks = (0..<1_000).map { _ in
            Task(executorPreference: loop) {
                await Task.yield()
                log.add(true)
            }
        }
        loop.close()
        try await within { for task in tasks { await task.value } }
        #expect(log.all.count == 1_000)
    }

    // A task of the loop may wait, by yielding, for what another thread hands to the loop.
    @Test func jobsAndActionsAreTakenInUntilNoneIsLeft() async throws {
        let loop = try EventLoop(name: "closing")
        let isOpen = Notes<Bool>()
        let turns = Counter()
        let yielding = Task(executorPreference: loop) {
            while isOpen.all.count == 0 && !Task.isCancelled {
                turns.add()
                await Task.yield()
            }
        }
        await loop.hasTurned()
        let closing = Task { try await onThread { loop.close() } }
        try await eventually { loop.isClosed }
        // Well into its last turns.
        let before = turns.value
        try await eventually { turns.value > before + 1_000 }
        defer { yielding.cancel() }
        #expect(loop.execute { isOpen.add(true) })
        try await within {
            await yielding.value
            try await closing.value
        }
        #expect(isOpen.all.count == 1)
    }

    @Test func closingTwiceIsAsClosingOnce() async throws {
        try await audited { _ in
            let name = uniqueName()
            let loop = try EventLoop(name: name)
            #expect(!loop.isClosed)
            loop.close()
            loop.close()
            #expect(loop.isClosed)
            try await within {
                await withDiscardingTaskGroup { group in for _ in 0..<4 { group.addTask { loop.close() } } }
            }
            // The system lets the joiner go a moment before it forgets the thread.
            try await eventually { threadCount(named: name) == 0 }
        }
    }

    @Test func aLoopCanBeClosedFromItsOwnThread() async throws {
        try await audited { _ in
            let name = uniqueName()
            let loop = try EventLoop(name: name)
            let closing = Task(executorPreference: loop) {
                loop.close()
                loop.close()
                // The task is still on the loop, whose last turns it may use.
                await Task.yield()
                return await cause { try await EventLoop.sleep(for: .seconds(3_600)) }
            }
            #expect(try await within { await closing.value } == .closed)
            try await eventually { threadCount(named: name) == 0 }
        }
    }

    @Test func theThreadIsNamedAndJoined() async throws {
        let name = uniqueName()
        let loop = try EventLoop(name: name)
        try await eventually { threadCount(named: name) == 1 }
        loop.close()
        try await eventually { threadCount(named: name) == 0 }
    }

    @Test func aLoopThatIsLetGoAfterItsEndLeavesNoDescriptor() async throws {
        try await audited { ledger in
            for _ in 0..<20 {
                let loop = try EventLoop(name: "closing")
                #expect(ledger.open.count >= 2)
                loop.close()
            }
        }
    }

    @Test func loopsThatOpenAndCloseUnderFireLoseNoTask() async throws {
        for _ in 0..<200 {
            let loop = try EventLoop(name: "closing")
            let ran = Notes<Bool>()
            let pushing = (0..<3).map { _ in
                Task {
                    let tasks = (0..<30).map { _ in Task(executorPreference: loop) { ran.add(true) } }
                    for task in tasks { await task.value }
                }
            }
            try await onThread { loop.close() }
            try await within { for task in pushing { await task.value } }
            #expect(ran.all.count == 90)
        }
    }
}

/// Loops that cannot start.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EventLoopStartingTests {
    @Test(
        arguments: [
            (.epollCreate, .tooManyOpenFiles), (.epollCreate, .tooManyOpenFilesInSystem), (.eventfd, .tooManyOpenFiles),
            (.eventfd, .noMemory), (.epollControl, .noMemory), (.epollControl, .noSpace),
        ] as [(SystemCall, Errno)])
    func aLoopThatCannotStartLeavesNothingOpen(call: SystemCall, errno: Errno) async throws {
        try await audited { ledger in
            let name = uniqueName()
            ledger.make(call, .fail(errno))
            let found = await cause { _ = try EventLoop(name: name) }
            #expect(found == .system(errno))
            try await eventually { ledger.open.isEmpty }
            // The system lets the joiner go a moment before it forgets the thread.
            try await eventually { threadCount(named: name) == 0 }
        }
    }

    @Test(arguments: [0, 1, 2])
    func aGroupThatCannotStartAllItsLoopsLeavesNoneRunning(startedBefore: Int) async throws {
        try await audited { ledger in
            let name = uniqueName()
            ledger.make(.eventfd, .fail(.tooManyOpenFiles), after: startedBefore)
            let found = await cause { _ = try EventLoopGroup(loops: 3, name: name) }
            #expect(found == .system(.tooManyOpenFiles))
            for index in 0..<3 { try await eventually { threadCount(named: "\(name)-\(index)") == 0 } }
        }
    }
}
