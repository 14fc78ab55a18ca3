import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

/// A task or a thread waits for the first of several descriptors.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct WaitableSeveralTests {
    private func withPairs<R>(_ body: ([WaitablePair]) async throws -> R) async throws -> R {
        let pairs = try (0..<3).map { _ in try WaitablePair() }
        defer { for pair in pairs { pair.close() } }
        return try await body(pairs)
    }

    private func wait(_ pairs: [WaitablePair], until deadline: Deadline = .never) async throws {
        try await Waitable.wait(forAnyOf: pairs.map(\.waitable), .receive, until: deadline, .receive)
    }

    @Test(arguments: 0..<3)
    func aTaskIsWokenByWhicheverIsReady(_ index: Int) async throws {
        try await withLoop { loop in
            try await withPairs { pairs in
                let task = Task(executorPreference: loop) { try await wait(pairs) }
                await loop.hasTurned()
                try pairs[index].write()
                try await within { try await task.value }
            }
        }
    }

    /// No bell is left hanging, which a later event would ring instead of waking who waits then.
    @Test func afterItEachCanBeWaitedForAlone() async throws {
        try await withLoop { loop in
            try await withPairs { pairs in
                for round in 0..<50 {
                    let task = Task(executorPreference: loop) { try await wait(pairs) }
                    await loop.hasTurned()
                    try pairs[round % 3].write()
                    try await within { try await task.value }
                    for pair in pairs { try pair.drain() }
                }
                for pair in pairs {
                    let alone = Task(executorPreference: loop) {
                        // What the race had left ready, and then what is written now.
                        while try await pair.waitable.waitOnce() == .ready { try pair.drain() }
                    }
                    await loop.hasTurned()
                    try pair.write()
                    await loop.hasTurned()
                    pair.waitable.close()
                    try await within { try await alone.value }
                }
            }
        }
    }

    @Test func readinessThatCameBeforeEndsTheWait() async throws {
        try await withLoop { loop in
            try await withPairs { pairs in
                try pairs[1].write()
                try await within {
                    try await Task(executorPreference: loop) { try await wait(pairs) }.value
                }
            }
        }
    }

    @Test func theTimeEndsTheWait() async throws {
        try await withLoop { loop in
            try await withPairs { pairs in
                let end = Deadline.after(.milliseconds(30))
                try await within {
                    try await Task(executorPreference: loop) { try await wait(pairs, until: end) }.value
                }
                #expect(end.isPast)
            }
        }
    }

    @Test func aCancellationEndsTheWait() async throws {
        try await withLoop { loop in
            try await withPairs { pairs in
                let task = Task(executorPreference: loop) { await cause { try await wait(pairs) } }
                await loop.hasTurned()
                task.cancel()
                let ended = try await within { await task.value }
                #expect(ended == .cancelled)
            }
        }
    }

    @Test func theEndOfTheLoopEndsTheWait() async throws {
        try await withPairs { pairs in
            let loop = try EventLoop(name: "test")
            let task = Task(executorPreference: loop) { await cause { try await wait(pairs) } }
            await loop.hasTurned()
            loop.close()
            _ = try await within { await task.value }
            #expect(pairs.allSatisfy { $0.waitable.isLoopClosed })
        }
    }

    /// The poller refuses what cannot be polled; who waits is told by the socket's failure, not left waiting.
    @Test func whatTheLoopCannotTakeEndsTheWait() async throws {
        let ledger = Ledger()
        try await ledger.audit {
            try await withLoop { loop in
                try await withPairs { pairs in
                    ledger.make(.epollControl, .fail(.noMemory), after: 1)
                    let task = Task(executorPreference: loop) { try await wait(pairs) }
                    try await within { try await task.value }
                    #expect(pairs.count { $0.waitable.failure == .noMemory } == 1)
                }
            }
        }
    }

    @Test(arguments: 0..<3)
    func aThreadIsWokenByWhicheverIsReady(_ index: Int) async throws {
        try await withPairs { pairs in
            let ledger = Ledger()
            try await ledger.audit {
                async let waiting: Void = onThread {
                    try Waitable.waitBlocking(forAnyOf: pairs.map(\.waitable), .receive, until: .never)
                }
                try await ledger.sees(.poll)
                try pairs[index].write()
                try await waiting
            }
        }
    }

    @Test func theTimeEndsAThreadsWait() async throws {
        try await withPairs { pairs in
            let end = Deadline.after(.milliseconds(30))
            try await onThread {
                try Waitable.waitBlocking(forAnyOf: pairs.map(\.waitable), .receive, until: end)
            }
            #expect(end.isPast)
        }
    }
}
