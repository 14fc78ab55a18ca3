import Glibc
import Loops
import SocketCore
import Synchronization

// What a loop is handed: tasks of its own, and work from other threads.

extension Scenario {
    static var tasks: [Scenario] {
        let sleeper = Sleeper()
        return [
            // As `serve` does for each client.
            Scenario(name: "task on a loop") { group in
                let loop = group.loops[0]
                let ran = Tally()
                return Running { times in
                    let before = ran.count
                    try onLoop(loop) {
                        await withDiscardingTaskGroup { tasks in
                            for _ in 0..<times {
                                tasks.addTask(executorPreference: loop) { ran.add() }
                                // The new one stands before this one in the loop's queue.
                                await Task.yield()
                            }
                        }
                    }
                    guard ran.count == before + times else { throw Failed(what: "a task on the loop") }
                }
            },
            fromOutside("action from another thread") { loop, told in
                guard loop.execute({ tell(told) }) else { throw Failed(what: "an action") }
            },
            fromOutside("task resumed from another thread") { _, _ in
                guard let waiting = sleeper.take() else { throw Failed(what: "a task that waits") }
                waiting.resume()
            } prepare: { loop, told in
                Task.detached(executorPreference: loop) {
                    repeat { await sleeper.sleep { tell(told) } } while !sleeper.isOver
                    tell(told)
                }
            } end: {
                sleeper.end()
            },
        ]
    }

    /// Work that the main thread hands to a loop that sleeps, and that tells the main thread when it is done. Both
    /// threads' instructions are counted.
    private static func fromOutside(
        _ name: String, _ hand: @escaping (EventLoop, CInt) throws -> Void,
        prepare: ((EventLoop, CInt) -> Void)? = nil, end: @escaping () -> Void = {}
    ) -> Scenario {
        Scenario(name: name, few: 50, many: 350) { group in
            let loop = group.loops[0]
            let (told, hears) = try rawPair(SOCK_STREAM)
            if let prepare {
                prepare(loop, told)
                try hear(hears)
            }
            return Running { times in
                for _ in 0..<times {
                    // The loop is asleep by then: awake, it would not have to be woken.
                    usleep(500)
                    try hand(loop, told)
                    try hear(hears)
                }
            } end: {
                end()
                if prepare != nil { try hear(hears) }
                close(told)
                close(hears)
            }
        }
    }
}

private func tell(_ fd: CInt) {
    var byte: UInt8 = 1
    write(fd, &byte, 1)
}

private func hear(_ fd: CInt) throws {
    var byte: UInt8 = 0
    guard read(fd, &byte, 1) == 1 else { throw Failed(what: "a word from the loop") }
}

/// A number that a task raises and a thread reads.
private final class Tally: Sendable {
    private let number = Atomic<Int>(0)
    var count: Int { number.load(ordering: .acquiring) }
    func add() { number.wrappingAdd(1, ordering: .releasing) }
}

/// A task that waits for another thread.
private final class Sleeper: Sendable {
    private let state = Lock<(waiting: UnsafeContinuation<Void, Never>?, isOver: Bool)>((nil, false))

    var isOver: Bool { state.withLock { $0.isOver } }

    /// Suspends the task, and says so, until another thread takes it.
    func sleep(_ say: () -> Void) async {
        await withUnsafeContinuation { waiting in
            state.withLock { $0.waiting = waiting }
            say()
        }
    }

    func take() -> UnsafeContinuation<Void, Never>? {
        state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
    }

    func end() {
        state.withLock { $0.isOver = true }
        take()?.resume()
    }
}
