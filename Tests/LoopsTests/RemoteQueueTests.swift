@testable import Loops
import TestSupport
import Testing

/// What other threads hand to a loop.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct RemoteQueueTests {
    @Test func whatIsTakenOutComesInTheOrderItWasPutIn() {
        let shared = Shared()
        let log = Notes<Int>()
        #expect(shared.isEmpty)
        for index in 0..<100 { #expect(shared.push { log.add(index) }) }
        #expect(!shared.isEmpty)
        shared.drain()
        #expect(log.all == Array(0..<100))
        #expect(shared.isEmpty)
        shared.drain()
        #expect(log.all.count == 100)
    }

    @Test func whatIsPutInWhileTheQueueIsEmptiedComesNextTime() {
        let shared = Shared()
        let log = Notes<Int>()
        #expect(
            shared.push {
                log.add(1)
                _ = shared.push { log.add(2) }
            })
        shared.drain()
        #expect(log.all == [1])
        shared.drain()
        #expect(log.all == [1, 2])
    }

    @Test func aClosedQueueGivesOutWhatItHasAndRefusesTheRest() {
        let shared = Shared()
        let log = Notes<Int>()
        #expect(shared.push { log.add(1) })
        shared.drain(closing: true)
        #expect(log.all == [1])
        #expect(!shared.push { log.add(2) })
        shared.drain()
        shared.drain(closing: true)
        #expect(!shared.push { log.add(3) })
        #expect(log.all == [1])
    }

    @Test func manyThreadsLoseNothingAndEachKeepsItsOrder() async throws {
        let shared = Shared()
        let log = Notes<(producer: Int, index: Int)>()
        try await within {
            try await withThrowingTaskGroup { group in
                for producer in 0..<4 {
                    group.addTask {
                        try await onThread {
                            for index in 0..<5_000 { #expect(shared.push { log.add((producer, index)) }) }
                        }
                    }
                }
                group.addTask { try await onThread { while log.all.count < 20_000 { shared.drain() } } }
                try await group.waitForAll()
            }
        }
        for producer in 0..<4 {
            #expect(log.all.filter { $0.producer == producer }.map(\.index) == Array(0..<5_000))
        }
    }

    @Test func whatIsAcceptedBeforeTheEndIsDoneAndTheRestIsRefused() async throws {
        for _ in 0..<100 {
            let shared = Shared()
            let accepted = Counter()
            let done = Counter()
            try await within {
                try await withThrowingTaskGroup { group in
                    for _ in 0..<3 {
                        group.addTask {
                            try await onThread { while shared.push({ done.add() }) { accepted.add() } }
                        }
                    }
                    group.addTask {
                        try await onThread {
                            while accepted.value < 50 { shared.drain() }
                            shared.drain(closing: true)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(accepted.value >= 50)
            #expect(done.value == accepted.value)
        }
    }
}

/// The queue in an object, for several threads to hold.
private final class Shared: Sendable {
    private let queue = RemoteQueue()
    var isEmpty: Bool { queue.isEmpty }

    func push(_ action: @escaping @Sendable () -> Void) -> Bool { queue.push(.action(action)) }

    func drain(closing: Bool = false) {
        queue.drain(closing: closing) { work in
            if case .action(let action) = work { action() }
        }
    }
}
