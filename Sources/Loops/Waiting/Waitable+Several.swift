package import SocketCore
internal import Synchronization
package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// How a task or a thread waits for the first of several sockets: connecting races the addresses of a name so.
//
// It stands here, beside the waits for one, because it needs what they are made of: the words in which waiters stand, and
// poll(2). The sockets belong to the caller alone, who has shown them to nobody, so no turn is taken and nobody else
// closes one. Which socket it was, the caller finds out by trying each; a wake may be for nothing.

extension Waitable {
    /// Suspends the task until one of the sockets is ready in a direction or its loop has ended, or the time has come.
    ///
    /// Throws `.cancelled` as soon as the task is, and `.closed` when the loop that keeps the time has ended.
    package static func wait(
        forAnyOf sockets: [Waitable], _ direction: Direction, until deadline: Deadline,
        _ operation: SocketError.Operation
    ) async throws(SocketError) {
        let bell = Bell()
        defer { for socket in sockets { socket.takeDown(bell, direction) } }
        for socket in sockets {
            try socket.register()
            guard socket.hang(bell, direction) else { throw SocketError(operation, .twoWaits) }
        }
        _ = try await bell.wait(until: deadline, operation)
    }

    /// Has the bell rung at what would wake a waiter of the direction; false when another waits there.
    private func hang(_ bell: Bell, _ direction: Direction) -> Bool {
        let waiter = Waiter(bell)
        switch side(direction, { $0.install(waiter) }) {
        case .waits: break
        case .wasReady:
            waiter.resume(.ready)
            return true
        case .occupied:
            waiter.releaseBell()
            return false
        }
        // What changed before the bell hung there found nobody to wake.
        if failure != nil || isLoopClosed { bell.ring() }
        return true
    }

    private func takeDown(_ bell: Bell, _ direction: Direction) {
        side(direction) { $0.takeBack(bell) }
    }

    /// Blocks the thread until one of the sockets is ready in a direction, the time has come, or a signal came.
    ///
    /// Nobody else knows the sockets, so there is nobody to be woken by, and no parker is needed. Corresponds to `poll(2)`.
    package static func waitBlocking(
        forAnyOf sockets: [Waitable], _ direction: Direction, until deadline: Deadline
    ) throws(Errno) {
        let events = CShort(direction == .receive ? POLLIN : POLLOUT)
        var entries = sockets.map { pollfd(fd: $0.rawValue, events: events, revents: 0) }
        let timeout = pollTimeout(until: deadline.nanoseconds, now: System.now)
        _ = try System.poll(&entries, milliseconds: timeout)
    }
}
