internal import Loops
internal import SocketCore
internal import Sockets

/// The work of `connect` or `listen`, on a thread of its own, while the main thread waits for its end and for signals.
final class Work: Sendable {
    /// How the first signal ends the command.
    enum Ending {
        /// No peer is joined: by the signal, at once.
        case now
        /// No peer is joined, and none will be: as the work ends by itself.
        case byItself
        /// What was read of the input is still delivered to this peer; then by the signal.
        case after(any Join)
    }

    private let events = Events()
    private let result = Lock<Result<Void, Failure>?>(nil)

    /// To be made before other threads start: they inherit that the signals are blocked.
    init() {
        Signals.watch { [events] in events.post(.signal($0)) }
    }

    /// Does the work, and throws what it throws. The first signal calls `stop`. A second one ends the command at once, and
    /// so does the end of `grace`; the caller then cuts off the peer.
    func run(
        _ name: String, grace: Duration?, _ work: @escaping @Sendable () throws(Failure) -> Void, stop: () -> Ending
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
        do { try wait(grace, stop) } catch {
            // What failed before the signal ended the command. A connection that this side closed is no failure.
            if case .failure(let failure)? = result.withLock({ $0 }), failure.error?.cause != .closed { failure.tell() }
            throw error
        }
        try result.withLock { $0 }?.get()
    }

    private func wait(_ grace: Duration?, _ stop: () -> Ending) throws {
        while true {
            switch events.next(until: .never) {
            case .signal(let number):
                let deadline = grace.map { Deadline.after($0) } ?? .never
                switch stop() {
                case .now: throw ExitStatus.signal(number)
                case .after(let join):
                    if let status = events.awaitDelivery(join, until: deadline, after: number) { throw status }
                case .byItself: break
                }
                switch events.next(until: deadline) {
                case .signal(let second): throw ExitStatus.signal(second)
                case nil: throw ExitStatus.signal(number)
                case .ended, .outputFailed, .flushFailed: return
                }
            case .ended, .outputFailed, .flushFailed, nil: return
            }
        }
    }
}

extension Failure {
    static var noThread: Failure { Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
}
