internal import CSockets
package import SocketCore
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Until when a wait may last: a deadline for each direction, and a limit on every single wait.

extension Waitable {
    /// The moment until which verbs of a direction may wait. A change takes effect on waits under way too.
    package func setDeadline(_ deadline: Deadline, _ direction: Direction) {
        if deadline == .never && extras == nil { return }
        let extras = needExtras()
        let word = deadline.nanoseconds
        switch direction {
        case .receive: extras.receiveDeadline.store(word, ordering: .sequentiallyConsistent)
        case .send: extras.sendDeadline.store(word, ordering: .sequentiallyConsistent)
        }
        side(direction) { $0.signalRecheck() }
        extras.turns.wakeAll(direction)
    }

    package func deadline(_ direction: Direction) -> Deadline {
        Deadline(nanoseconds: extras?.deadline(direction) ?? .max)
    }

    /// How long each wait may last at the most; nil is without end.
    package var idleTimeout: Duration? {
        get {
            let limit = idleLimit.load(ordering: .relaxed)
            return limit == .max ? nil : .nanoseconds(Int64(clamping: limit))
        }
        set { setIdleLimit(Self.idleLimit(newValue)) }
    }

    /// An idle timeout in nanoseconds, for who gives it to many sockets; `.max` is without end.
    package static func idleLimit(_ timeout: Duration?) -> UInt64 { timeout?.clampedNanoseconds ?? .max }

    package func setIdleLimit(_ nanoseconds: UInt64) { idleLimit.store(nanoseconds, ordering: .relaxed) }

    /// Until when a wait that begins now may last.
    func waitEnd(_ direction: Direction) -> UInt64 {
        let deadline = extras?.deadline(direction) ?? .max
        let limit = idleLimit.load(ordering: .relaxed)
        guard limit != .max else { return deadline }
        let (end, overflow) = System.atLeastNow.addingReportingOverflow(limit)
        return min(deadline, overflow ? .max : end)
    }

    /// Whether the last wait in a direction lasted as long as it might.
    package func hasTimedOut(_ direction: Direction) -> Bool {
        let end = side(direction) { $0.waitUntil.load(ordering: .acquiring) }
        guard end != .max, end <= System.now else { return false }
        // A deadline may have been moved later since that wait began.
        return idleLimit.load(ordering: .relaxed) != .max || deadline(direction).isPast
    }

    /// Whether the system calls the socket ready in a direction at this moment. A loop that comes to a wait late finds its
    /// time over before it has been told of what came in time; so a time-out asks (`poll(2)`).
    package func isReadyNow(_ direction: Direction) -> Bool {
        var entries = [pollfd(fd: rawValue, events: CShort(direction == .receive ? POLLIN : POLLOUT), revents: 0)]
        return ((try? System.poll(&entries, milliseconds: 0)) ?? 0) > 0
    }

    /// Has the loop look at this socket's deadlines at a moment. What is armed is registered, and so kept alive.
    func arm(at moment: UInt64) {
        guard loopWord.load(ordering: .acquiring) == UInt(bitPattern: csockets_current_loop()) else {
            return armFromElsewhere(at: moment)
        }
        // What almost every wait of a client with an idle time finds: an entry that is looked at before then.
        if armedAt > moment, let loop { arm(at: moment, by: loop) }
    }

    @inline(never)
    private func armFromElsewhere(at moment: UInt64) {
        guard let loop else { return }
        _ = loop.execute { self.arm(at: moment, by: loop) }
    }

    private func arm(at moment: UInt64, by loop: EventLoop) {
        if slot != .max { loop.local.pointee.timers.arm(self, at: moment) }
    }
}
