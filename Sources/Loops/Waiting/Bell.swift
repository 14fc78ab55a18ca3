public import SocketCore
internal import Synchronization
package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What one task or thread waits for when it is no socket: that another rings, or that a time comes.
///
/// A ring while nobody waits ends the next wait. One waiter at a time: a second one is refused.
package final class Bell: Sendable {
    private let side = Side()

    package init() {}

    /// Ends the wait under way, or else the next one.
    package func ring() {
        side.ring()
    }

    /// Suspends the task until the bell rings or the time has come; true when it rang.
    ///
    /// Throws `.cancelled` when the task is, and `.closed` when the loop that keeps the time ends.
    package func wait(until deadline: Deadline, _ operation: SocketError.Operation) async throws(SocketError) -> Bool {
        var alarm: Alarm?
        if deadline != .never {
            let loop: EventLoop
            if let current = EventLoop.current { loop = current } else { loop = try EventLoopGroup.shared.next() }
            alarm = Alarm(self, loop)
        }
        defer { alarm?.disarm() }
        while true {
            if Task.isCancelled { throw SocketError(operation, .cancelled) }
            if deadline.isPast { return side.takeReady() }
            if let alarm, alarm.loop.isClosed { throw SocketError(operation, .closed) }
            let wake = await withTaskCancellationHandler {
                await suspend(until: deadline, alarm)
            } onCancel: {
                side.signalChange()
            }
            if wake == .refused { throw SocketError(operation, .twoWaits) }
            if wake == .ready { return true }
        }
    }

    private func suspend(until deadline: Deadline, _ alarm: Alarm?) async -> Wake {
        await Waiter.suspend { waiter in
            switch side.install(waiter) {
            case .waits: break
            case .wasReady: return waiter.resume(.ready)
            case .occupied: return waiter.resume(.refused)
            }
            let isArmed = alarm?.arm(at: deadline) ?? true
            if Task.isCancelled || !isArmed { side.signalRecheck() }
        }
    }

    /// Blocks the thread until the bell rings or the time has come; true when it rang.
    ///
    /// Throws `EALREADY` when another waits for it.
    package func waitBlocking(until deadline: Deadline) throws(Errno) -> Bool {
        let parker = try Parker.current()
        let waiter = Waiter(parker)
        switch side.install(waiter) {
        case .waits: break
        case .wasReady: return true
        case .occupied: throw .alreadyInProcess
        }
        while true {
            let outcome: Parker.Outcome
            do throws(Errno) {
                outcome = try parker.park(on: nil, .receive, until: deadline.nanoseconds)
            } catch {
                // Left behind, it would take a later ring, after its thread has gone.
                if !side.takeBack(waiter), parker.awaitUnpark() == .ready { side.ring() }
                throw error
            }
            switch outcome {
            case .woken(let wake): return wake == .ready
            case .interrupted, .ready: continue
            case .timedOut: return side.takeBack(waiter) ? false : parker.awaitUnpark() == .ready
            }
        }
    }

    /// The same where a wait must not fail: a thread for which there is no descriptor to be woken by looks again and again,
    /// ever more rarely. Returning at once would make a busy loop of every wait just when the system has run short.
    @discardableResult
    package func waitBlockingAnyway(until deadline: Deadline) -> Bool {
        var pause = Duration.milliseconds(1)
        while true {
            if let hasRung = try? waitBlocking(until: deadline) { return hasRung }
            if side.takeReady() { return true }
            if deadline.isPast { return false }
            Bell.pauseThread(for: min(pause, deadline.remaining ?? pause))
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// Blocks the thread for a duration; it needs nothing for that. Corresponds to `poll(2)` of nothing.
    package static func pauseThread(for duration: Duration) {
        let end = Deadline.after(duration)
        var none: [pollfd] = []
        while !end.isPast {
            _ = try? System.poll(&none, milliseconds: pollTimeout(until: end.nanoseconds, now: System.now))
        }
    }

    /// The time has come, or the loop ends: has who waits look which.
    fileprivate func recheck() {
        side.signalRecheck()
    }
}

extension SocketError.Cause {
    /// That a wait was refused because another one is under way where only one can be.
    package static var twoWaits: Self { .misuse("another wait is under way in this direction") }
}

/// What stands in a loop's heap for one wait for a bell.
///
/// Each wait has its own, because the next wait may be kept by another loop before this one's has taken it out.
private final class Alarm: Timed, @unchecked Sendable {
    let loop: EventLoop
    private let bell: Bell

    init(_ bell: Bell, _ loop: EventLoop) {
        self.bell = bell
        self.loop = loop
    }

    /// False when the loop has ended.
    func arm(at deadline: Deadline) -> Bool {
        loop.execute {
            // In a loop that is about to end nothing would fire.
            if !self.loop.local.pointee.timers.arm(self, at: deadline.nanoseconds) { self.bell.recheck() }
        }
    }

    /// The heap does not keep what stands in it: out of it before the last reference, the action's, goes.
    func disarm() {
        _ = loop.execute { self.loop.local.pointee.timers.disarm(self) }
    }

    override func fire(now: UInt64) -> UInt64 {
        bell.recheck()
        return .max
    }
}

extension EventLoop {
    /// Suspends the task for a duration, by the timers of the loop it runs on.
    ///
    /// Waits until the time is over. Throws `.cancelled` as soon as the task is, and `.closed` when the loop ends. Corresponds
    /// to the timeout of `epoll_wait(2)`.
    public static func sleep(for duration: Duration) async throws(SocketError) {
        _ = try await Bell().wait(until: .after(duration), .sleep)
    }
}
