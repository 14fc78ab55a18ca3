import Loops
import SocketCore
import TestSupport
import Testing

/// Some loops that share the work.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EventLoopGroupTests {
    @Test(arguments: [1, 3])
    func aGroupHasAsManyLoopsAsAreAskedFor(_ count: Int) async throws {
        try await audited { _ in
            let group = try EventLoopGroup(loops: count)
            defer { group.close() }
            #expect(group.loops.count == count)
        }
    }

    @Test func theLoopsTakeTurns() throws {
        let group = try EventLoopGroup(loops: 3)
        defer { group.close() }
        let turns = (0..<9).map { _ in group.next() }
        for (index, loop) in turns.enumerated() { #expect(loop === group.loops[index % 3]) }
    }

    @Test func eachLoopHasAThreadWithANameOfItsOwn() async throws {
        let name = uniqueName()
        let group = try EventLoopGroup(loops: 2, name: name)
        for index in 0..<2 {
            #expect(group.loops[index].name == "\(name)-\(index)")
            try await eventually { threadCount(named: "\(name)-\(index)") == 1 }
        }
        group.close()
        group.close()
        // The system lets the joiner go a moment before it forgets the thread.
        for index in 0..<2 { try await eventually { threadCount(named: "\(name)-\(index)") == 0 } }
    }

    @Test func groupsThatAreLetGoLeaveNoThreadAndNoDescriptor() async throws {
        let name = uniqueName()
        try await audited { ledger in
            for _ in 0..<20 { _ = try EventLoopGroup(loops: 2, name: name) }
            try await eventually(patience, "the end of the threads") {
                threadCount(named: "\(name)-0") + threadCount(named: "\(name)-1") == 0
            }
            try await eventually(patience, "closing every descriptor") { ledger.open.isEmpty }
        }
    }

    @Test func whatWaitsInAGroupThatIsLetGoEnds() async throws {
        let name = uniqueName()
        try await audited { _ in
            var group: EventLoopGroup? = try EventLoopGroup(loops: 2, name: name)
            let loops = try #require(group).loops
            let pairs = try loops.map { _ in try WaitablePair() }
            let waiting = zip(loops, pairs).map { loop, pair in
                (
                    Task(executorPreference: loop) { try await pair.waitable.waitOnce() },
                    Task(executorPreference: loop) { await cause { try await EventLoop.sleep(for: .seconds(3_600)) } }
                )
            }
            for loop in loops { await loop.hasTurned() }
            group = nil
            for (wait, sleep) in waiting {
                #expect(try await within { try await wait.value } == .recheck)
                #expect(try await within { await sleep.value } == .closed)
            }
            for pair in pairs {
                #expect(pair.waitable.isLoopClosed)
                pair.close()
            }
            try await eventually { threadCount(named: "\(name)-0") + threadCount(named: "\(name)-1") == 0 }
        }
    }

    /// The last reference goes in a job of the group's own loop, which cannot wait for its own end or for the other loop.
    @Test func aGroupCanBeLetGoByAJobOfItsOwn() async throws {
        let name = uniqueName()
        try await audited { _ in
            let gate = Bell()
            let ended = try startTaskThatLetsGo(name, gate)
            gate.ring()
            #expect(try await within { await ended.value })
            try await eventually { threadCount(named: "\(name)-0") + threadCount(named: "\(name)-1") == 0 }
        }
    }

    /// A task may outlive the group whose loop it prefers; then it comes to its end in the global pool.
    @Test func aTaskOutlivesTheGroupThatItRanOn() async throws {
        let name = uniqueName()
        try await audited { _ in
            for _ in 0..<50 {
                let gate = Bell()
                let task = try await startTask(name, gate)
                try await eventually { threadCount(named: "\(name)-0") == 0 }
                gate.ring()
                #expect(try await within { try await task.value })
            }
        }
    }

    @Test func aScopedGroupRunsItsBodyOnItsFirstLoopAndEndsWithIt() async throws {
        try await audited { _ in
            let loops = try await within {
                try await EventLoopGroup.run(loops: 2) { group in
                    #expect(group.loops.count == 2)
                    #expect(EventLoop.current === group.loops[0])
                    await Task.yield()
                    #expect(EventLoop.current === group.loops[0])
                    return group.loops
                }
            }
            for loop in loops { #expect(loop.isClosed) }
        }
    }

    @Test func aScopedGroupEndsWhenItsBodyThrows() async throws {
        struct Enough: Error {}
        try await audited { _ in
            let log = Notes<EventLoop>()
            await #expect(throws: Enough.self) {
                try await EventLoopGroup.run(loops: 2) { group in
                    for loop in group.loops { log.add(loop) }
                    throw Enough()
                }
            }
            #expect(log.all.count == 2)
            for loop in log.all { #expect(loop.isClosed) }
        }
    }

    @Test func whatWaitsInAScopedGroupEndsWithIt() async throws {
        let left = try await within {
            try await EventLoopGroup.run(loops: 2) { group in
                let sleeping = group.loops.map { loop in
                    Task(executorPreference: loop) { await cause { try await EventLoop.sleep(for: .seconds(3_600)) } }
                }
                for loop in group.loops { await loop.hasTurned() }
                return sleeping
            }
        }
        for task in left { #expect(try await within { await task.value } == .closed) }
    }

    @Test func scopedGroupsCanBeNested() async throws {
        try await audited { _ in
            let inner = try await within {
                try await EventLoopGroup.run(loops: 1) { outer in
                    let inner = try await EventLoopGroup.run(loops: 1) { inner in
                        #expect(EventLoop.current === inner.loops[0])
                        return inner.loops[0]
                    }
                    #expect(EventLoop.current === outer.loops[0])
                    #expect(!outer.loops[0].isClosed)
                    return inner
                }
            }
            #expect(inner.isClosed)
        }
    }

    @Test func theDefaultGroupIsStartedOnceWithALoopForEachProcessor() throws {
        let group = try EventLoopGroup.shared
        #expect(try EventLoopGroup.shared === group)
        #expect(group.loops.count == EventLoopGroup.processors)
        #expect(EventLoopGroup.processors >= 1)
    }

    // Whoever happens to start it must not be charged with descriptors that stay open.
    @Test func theDefaultGroupIsInNobodysLedger() async throws {
        try await audited { ledger in
            _ = try EventLoopGroup.shared
            #expect(ledger.open.isEmpty)
        }
    }
}

/// A task on a group's first loop that holds the last reference to the group until the gate is rung.
private func startTaskThatLetsGo(_ name: String, _ gate: Bell) throws -> Task<Bool, Never> {
    let group = try EventLoopGroup(loops: 2, name: name)
    return Task(executorPreference: group.loops[0]) {
        var held: EventLoopGroup? = group
        _ = try? await gate.wait(until: .never, .sleep)
        held = nil
        await Task.yield()
        return held == nil
    }
}

/// A task that prefers the loop of a group to which nothing refers.
private func startTask(_ name: String, _ gate: Bell) async throws -> Task<Bool, any Error> {
    let group = try EventLoopGroup(loops: 1, name: name)
    // A thread names itself, so only one that had its name is gone when there is none.
    try await eventually { threadCount(named: "\(name)-0") == 1 }
    defer { withExtendedLifetime(group) {} }
    return Task(executorPreference: group.loops[0]) {
        let hasRung = try await gate.wait(until: .never, .sleep)
        await Task.yield()
        return hasRung && EventLoop.current == nil
    }
}
