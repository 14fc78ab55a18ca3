internal import Loops
internal import SocketCore
internal import Sockets

/// The work of a verb, on a thread of its own, while the main thread waits for its end and for signals.
final class Work: Sendable {
    private let events = Events()
    private let result = Lock<Result<Void, Failure>?>(nil)

    /// To be made before other threads start: they inherit that the signals are blocked.
    init() {
        Signals.watch { [events] in events.post(.signal($0)) }
    }

    /// Does the work, and throws what it throws. The first signal calls `drain`, which has what is under way come to its
    /// end, or says that there is nothing to wait for; `grace` limits that. The second one ends it at once.
    func run(
        _ name: String, grace: Duration?, _ work: @escaping @Sendable () throws(Failure) -> Void, drain: () -> Bool
    ) throws {
        let isStarted = Threads.start(name) { [self] in
            do throws(Failure) {
                try work()
                result.withLock { $0 = .success(()) }
            } catch {
                result.withLock { $0 = .failure(error) }
            }
            events.post(.ended(nil))
        }
        guard isStarted else { throw Failure.noThread }
        try wait(grace, drain)
        try result.withLock { $0 }?.get()
    }

    private func wait(_ grace: Duration?, _ drain: () -> Bool) throws {
        var deadline = Deadline.never
        var signal: Int32 = 0
        while true {
            switch events.next(until: deadline) {
            case .signal(let number) where signal == 0 && drain():
                signal = number
                if let grace { deadline = .after(grace) }
            case .signal(let number): throw ExitStatus.signal(number)
            case nil: throw ExitStatus.signal(signal)
            case .ended, .outputFailed, .flushFailed: return
            }
        }
    }
}

extension Failure {
    static var noThread: Failure { Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
}
