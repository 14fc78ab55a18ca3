internal import SocketCore
internal import Sockets

/// How a verb that serves goes on until its end: the first signal stops it and lets its clients finish, the second ends it.
final class Course: Sendable {
    let events = Events()
    private let grace: Duration?

    init(grace: Duration?) { self.grace = grace }

    func watchSignals() { Signals.watch { [events] in events.post(.signal($0)) } }

    /// The work is done, or has failed.
    @Sendable
    func ended(_ failure: Failure?) { events.post(.ended(failure)) }

    /// Waits for the end; returns when all went well. `stop` is called at the first signal. What was shown on
    /// `output` is written out first: within the grace, or at the second signal at once, as far as somebody reads it.
    ///
    /// With a `delivery`, the only client is no server's: after it the command ends by the signal.
    func wait(writing output: Sink? = nil, delivery: (any Delivery)? = nil, stop: () -> Void) throws {
        var deadline = Deadline.never
        var signal: Int32 = 0
        while true {
            switch events.next(until: deadline) {
            case .signal(let number) where signal == 0:
                signal = number
                stop()
                if let grace { deadline = .after(grace) }
                if let delivery {
                    throw events.awaitDelivery(delivery, until: deadline, after: number) ?? .signal(number)
                }
            case nil, .signal:
                try? output?.flush(until: .after(.milliseconds(100)))
                throw ExitStatus.signal(signal)
            case .outputFailed(let error):
                throw Failure(output: error)
            case .flushFailed(let failure):
                throw failure
            case .ended(let failure?):
                try? output?.flush(until: .after(.seconds(1)))
                throw failure
            case .ended(nil):
                return try finish(output, until: deadline == .never ? .after(.seconds(5)) : deadline)
            }
        }
    }

    /// Writes out what was shown; a signal meanwhile is the second one.
    private func finish(_ output: Sink?, until deadline: Deadline) throws {
        guard let output else { return }
        let isOut = Threads.start("flush") { [events] in
            do throws(Failure) {
                try output.flush(until: deadline)
                events.post(.ended(nil))
            } catch {
                events.post(.flushFailed(error))
            }
        }
        guard isOut else { return try output.flush(until: deadline) }
        switch events.next(until: .never) {
        case .signal(let number): throw ExitStatus.signal(number)
        case .outputFailed(let error): throw Failure(output: error)
        case .flushFailed(let failure): throw failure
        case .ended, nil: return
        }
    }
}
