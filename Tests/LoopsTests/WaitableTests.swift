import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// A descriptor's turns, uses and end.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct WaitableTests {
    @Test func oneHolderADirectionAndTheOtherDirectionIsFree() throws {
        let pair = try WaitablePair()
        defer { pair.close() }
        #expect(pair.waitable.tryTakeTurn(.receive) == .mine)
        #expect(pair.waitable.tryTakeTurn(.receive) == .busy)
        #expect(pair.waitable.tryTakeTurn(.send) == .mine)
        pair.waitable.giveTurn(.receive)
        #expect(pair.waitable.tryTakeTurn(.send) == .busy)
        #expect(pair.waitable.tryTakeTurn(.receive) == .mine)
        pair.waitable.giveTurn(.receive)
        pair.waitable.giveTurn(.send)
    }

    @Test(arguments: [Direction.receive, .send])
    func turnsAreGivenInTheOrderTheyWereAskedFor(direction: Direction) async throws {
        try await withLoop { loop in
            let pair = try WaitablePair()
            defer { pair.close() }
            #expect(pair.waitable.tryTakeTurn(direction) == .mine)
            let log = Notes<Int>()
            let tasks = (0..<50).map { index in
                Task(executorPreference: loop) {
                    if try await pair.waitable.waitForTurn(direction, for: direction) != .ready { return }
                    log.add(index)
                    await Task.yield()
                    pair.waitable.giveTurn(direction)
                }
            }
            await loop.hasTurned()
            #expect(log.all.count == 0)
            // Who is cancelled leaves the queue, and nobody else's place changes.
            for index in [0, 7, 49] { tasks[index].cancel() }
            await loop.hasTurned()
            pair.waitable.giveTurn(direction)
            try await within { for task in tasks { try await task.value } }
            #expect(log.all == (0..<50).filter { ![0, 7, 49].contains($0) })
            #expect(pair.waitable.tryTakeTurn(direction) == .mine)
            pair.waitable.giveTurn(direction)
        }
    }

    @Test func tasksAndThreadsShareAQueueAndNobodyIsForgotten() async throws {
        let pair = try WaitablePair()
        defer { pair.close() }
        let inside = Counter()
        let done = Counter()
        @Sendable func hold() {
            inside.add()
            // Whoever else held the turn would have counted meanwhile.
            let before = inside.value
            for _ in 0..<20 { #expect(inside.value == before) }
            done.add()
            pair.waitable.giveTurn(.send)
        }
        try await within {
            try await withThrowingTaskGroup { group in
                for index in 0..<8 {
                    group.addTask {
                        if index < 2 {
                            try await onThread {
                                for _ in 0..<300 {
                                    while try pair.waitable.tryTakeTurn(.send) != .mine
                                        && pair.waitable.waitForTurnBlocking(.send, for: .send) != .ready
                                    {}
                                    hold()
                                }
                            }
                        } else {
                            for _ in 0..<300 {
                                while pair.waitable.tryTakeTurn(.send) != .mine {
                                    if try await pair.waitable.waitForTurn(.send, for: .send) == .ready { break }
                                }
                                hold()
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(done.value == 2_400)
    }

    @Test func closingWakesAllWhoWaitAndTheLastUserClosesTheDescriptor() async throws {
        try await audited { ledger in
            try await withLoop { loop in
                let pair = try WaitablePair()
                let raw = pair.waitable.rawValue
                let wakes = Notes<Wake>()
                let tasks = (0..<5).map { _ in
                    Task(executorPreference: loop) {
                        if pair.waitable.tryTakeTurn(.receive) != .mine {
                            wakes.add(try await pair.waitable.waitForTurn(.receive, for: .receive))
                            return
                        }
                        try pair.waitable.register()
                        wakes.add(await pair.waitable.wait(for: .receive))
                        // Still in use: the number cannot have become another's.
                        #expect(ledger.open.contains(raw))
                        #expect(pair.waitable.isClosed)
                        pair.waitable.giveTurn(.receive)
                    }
                }
                await loop.hasTurned()
                pair.close()
                pair.close()
                try await within { for task in tasks { try await task.value } }
                #expect(wakes.all == Array(repeating: .recheck, count: 5))
                #expect(!ledger.open.contains(raw))
            }
        }
    }

    @Test func aDescriptorInUseIsClosedByItsLastUser() async throws {
        try await audited { ledger in
            let pair = try WaitablePair()
            let raw = pair.waitable.rawValue
            var wasOpen: [Bool] = []
            _ = try pair.waitable.use { (descriptor) throws(Errno) in
                #expect(descriptor == raw)
                _ = try pair.waitable.use { (_) throws(Errno) in
                    pair.close()
                    wasOpen.append(ledger.open.contains(raw))
                }
                wasOpen.append(ledger.open.contains(raw))
            }
            #expect(wasOpen == [true, true])
            #expect(!ledger.open.contains(raw))
            let used = try pair.waitable.use { (_) throws(Errno) in true }
            #expect(used == nil)
            #expect(pair.waitable.isClosed)
            for direction in [Direction.receive, .send] { #expect(pair.waitable.tryTakeTurn(direction) == .closed) }
        }
    }

    @Test func aHolderOfATurnKeepsTheDescriptorOpen() async throws {
        try await audited { ledger in
            let pair = try WaitablePair()
            let raw = pair.waitable.rawValue
            #expect(pair.waitable.tryTakeTurn(.send) == .mine)
            #expect(pair.waitable.tryTakeTurn(.receive) == .mine)
            pair.close()
            pair.waitable.giveTurn(.send)
            #expect(ledger.open.contains(raw))
            pair.waitable.giveTurn(.receive)
            #expect(!ledger.open.contains(raw))
        }
    }

    @Test func usesAndClosesFromManyThreadsCloseTheDescriptorOnce() async throws {
        try await audited { ledger in
            for _ in 0..<200 {
                let pair = try WaitablePair()
                try await withThrowingDiscardingTaskGroup { group in
                    for index in 0..<6 {
                        group.addTask {
                            for _ in 0..<10 {
                                let isOpen = try pair.waitable.use { (descriptor) throws(Errno) in
                                    ledger.open.contains(descriptor)
                                }
                                #expect(isOpen != false)
                                if index == 5 { pair.waitable.close() }
                            }
                        }
                    }
                }
                #expect(!ledger.open.contains(pair.waitable.rawValue))
                pair.close()
            }
        }
    }

    @Test func whatAPollerRefusesEndsTheWaitWithItsReason() async throws {
        try await audited { ledger in
            try await withLoop { loop in
                let pair = try WaitablePair()
                defer { pair.close() }
                ledger.make(.epollControl, .fail(.noSpace))
                let wake = try await within {
                    try await withTaskExecutorPreference(loop) { try await pair.waitable.waitOnce() }
                }
                #expect(wake == .recheck)
                #expect(pair.waitable.failure == .noSpace)
            }
        }
    }
}
