internal import Loops
internal import Sockets

/// What a signal leaves under way where there is one peer: the bytes that were read of the input for it.
protocol Delivery {
    /// Whether the peer has all of them.
    var isDelivered: Bool { get }
    /// Tells the user that the command waits for that.
    func tellDelivery(until deadline: Deadline)
    /// Ends the connection: cleanly where the input was whole, else so that the peer sees that it was not. False where it has
    /// ended by itself.
    func leave() -> Bool
}

extension Events {
    /// How long a delivery may take before Pier says that it waits for it.
    private static let patience = Duration.milliseconds(200)

    /// Waits until the peer has all that was read of the input, and then lets it go. The kernel wakes no process for an
    /// acknowledgement, so it is asked again and again, ever more rarely.
    ///
    /// Gives the signal by which the command ends: the second one, if it comes first. Nil where the work has ended by itself
    /// at the same moment.
    func awaitDelivery(_ delivery: some Delivery, until deadline: Deadline, after signal: Int32) -> ExitStatus? {
        let notice = Deadline.after(Self.patience)
        var (pause, isTold) = (Duration.milliseconds(1), false)
        while !delivery.isDelivered {
            switch next(until: min(deadline, .after(pause))) {
            case .signal(let second): return .signal(second)
            case nil where deadline.isPast: return .signal(signal)
            case nil: pause = min(pause * 2, .milliseconds(20))
            case .ended, .outputFailed, .flushFailed: return .signal(signal)
            }
            if !isTold, notice.isPast {
                delivery.tellDelivery(until: deadline)
                isTold = true
            }
        }
        return delivery.leave() ? .signal(signal) : nil
    }
}

extension Report {
    /// Tells that a signal has stopped the reading, and that what was read is still delivered.
    func waitsForDelivery(to name: String, until deadline: Deadline) {
        let limit = deadline.remaining.map { text(", for at most \($0.inSeconds) s", "，最多等 \($0.inSeconds) 秒") } ?? ""
        note(
            text(
                "standard input is no longer read; waiting until \(name) has taken what was\(limit); a second signal ends this at once",
                "不再读取标准输入；正在等待 \(name) 收下已读取的部分\(limit)；再来一个信号就立即结束"))
    }
}
