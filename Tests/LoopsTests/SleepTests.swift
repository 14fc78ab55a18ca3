import Loops
import SocketCore
import Synchronization
import TestSupport
import Testing

/// `EventLoop.sleep`, on a loop and off it.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct SleepTests {
    @Test(arguments: [0, 1, 20, 60], [true, false])
    func aSleepLastsAsLongAsItWasAskedToAndNotMuchLonger(milliseconds: Int, isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let duration = Duration.milliseconds(milliseconds)
            let slept = try await within {
                try await withTaskExecutorPreference(isOnLoop ? loop : nil) {
                    let start = Deadline.now.nanoseconds
                    try await EventLoop.sleep(for: duration)
                    return Deadline.now.nanoseconds - start
                }
            }
            #expect(slept >= duration.clampedNanoseconds)
            // The machine may be busy; a sleep of the wrong unit would still be seen.
            #expect(slept < 15_000_000_000)
        }
    }

    @Test(arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min)])
    func aSleepOfNothingOrLessEndsAtOnce(duration: Duration) async throws {
        try await within { try await EventLoop.sleep(for: duration) }
    }

    @Test(arguments: [Duration.seconds(3_600), .seconds(Int64.max)], [true, false])
    func aCancellationEndsASleepAtOnce(duration: Duration, isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let found = try await within {
                let sleeping = Task(executorPreference: isOnLoop ? loop : nil) {
                    await cause { try await EventLoop.sleep(for: duration) }
                }
                await loop.hasTurned()
                sleeping.cancel()
                return await sleeping.value
            }
            #expect(found == .cancelled)
        }
    }

    @Test func aTaskThatIsCancelledAlreadyDoesNotSleep() async throws {
        let found = try await within {
            let sleeping = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await cause { try await EventLoop.sleep(for: .seconds(3_600)) }
            }
            return await sleeping.value
        }
        #expect(found == .cancelled)
    }

    @Test func sleepsThatBeganInAnyOrderEndInTheOrderOfTheirMoments() async throws {
        try await withTime(.milliseconds(600)) { ahead in
            try await withLoop { loop in
                var random = SeededGenerator(seed: 3)
                let log = Notes<Int>()
                let late = Counter()
                // Far enough ahead for all of them to have begun.
                let start = Deadline.after(ahead).nanoseconds
                let tasks = (0..<300).shuffled(using: &random).map { index in
                    Task(executorPreference: loop) {
                        let moment = Deadline(nanoseconds: start + UInt64(index) * 50_000)
                        if Deadline.now.nanoseconds >= start { late.add() }
                        let hasRung = try await Bell().wait(until: moment, .sleep)
                        #expect(!hasRung)
                        log.add(index)
                    }
                }
                try await within { for task in tasks { try await task.value } }
                if late.value > 0 { throw TooSlow() }
                #expect(log.all == Array(0..<300))
            }
        }
    }

    @Test func manySleepsThatAreCancelledInAnyOrderAllEnd() async throws {
        try await withLoop { loop in
            let ended = try await within {
                var random = SeededGenerator(seed: 4)
                let tasks = (0..<500).map { index in
                    Task(executorPreference: loop) {
                        await cause { try await EventLoop.sleep(for: .milliseconds(index % 7 == 0 ? 20 : 3_600_000)) }
                    }
                }
                for (index, task) in tasks.enumerated().shuffled(using: &random) where index % 7 != 0 { task.cancel() }
                var ended = (slept: 0, cancelled: 0)
                for task in tasks {
                    switch await task.value {
                    case nil: ended.slept += 1
                    case .cancelled: ended.cancelled += 1
                    default: break
                    }
                }
                return ended
            }
            #expect(ended == (slept: 72, cancelled: 428))
        }
    }
}
