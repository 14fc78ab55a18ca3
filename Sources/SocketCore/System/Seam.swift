package import SystemPackage
internal import Synchronization

/// The names of the system calls that Pier makes, as a test speaks of them.
package enum SystemCall: String, Sendable, Hashable, CaseIterable {
    case socket, socketpair, bind, listen, accept, connect, receive, send, shutdown, close
    case receiveDatagrams, sendDatagrams
    case getsockname, getpeername, getsockopt, setsockopt, ioctl, fcntl, fchmod, unlink, stat
    case pipe, splice
    case read, write, poll, epollCreate, epollControl, epollWait, eventfd
    case open, fstat, dup
    case spawn, waitid, kill, pidfdOpen, pidfdSendSignal
    /// Calls of the C library: starting a thread, and looking up a name.
    case thread, getaddrinfo
}

/// The one seam between Pier and the kernel: what a test may do with each system call.
///
/// An interposer is found through a task-local value, so that tests that run in parallel never see each other's; an
/// event loop keeps the one it was made under. While no test has one, a call costs a relaxed load and a branch.
package final class Interposer: Sendable {
    /// What becomes of a call.
    package enum Verdict: Sendable, Equatable {
        case pass
        /// The call is not made, and fails so.
        case fail(Errno)
        /// The call is made with at most this many bytes.
        case shorten(to: Int)
    }

    /// Asked before each call.
    let decide: @Sendable (SystemCall, CInt) -> Verdict
    /// Told of each descriptor made, and each closed.
    let opened: @Sendable (CInt) -> Void
    let closed: @Sendable (CInt) -> Void

    package init(
        decide: @escaping @Sendable (SystemCall, CInt) -> Verdict = { _, _ in .pass },
        opened: @escaping @Sendable (CInt) -> Void = { _ in },
        closed: @escaping @Sendable (CInt) -> Void = { _ in }
    ) {
        self.decide = decide
        self.opened = opened
        self.closed = closed
    }

    @TaskLocal package static var current: Interposer?

    /// How many interposers are in force anywhere; the fast path asks only this.
    static let inForce = Atomic<Int>(0)
    /// Those in force: a close is told to each, because it may come from a thread that belongs to no task.
    static let all = Lock<[Interposer]>([])

    /// Runs `body` with this interposer in force in the calling task and its children.
    package func whileInForce<R>(_ body: () throws -> R) rethrows -> R {
        enter()
        defer { leave() }
        return try Interposer.$current.withValue(self, operation: body)
    }

    /// Runs `body` with this interposer in force in the calling task and its children.
    package func whileInForce<R>(_ body: () async throws -> R) async rethrows -> R {
        enter()
        defer { leave() }
        return try await Interposer.$current.withValue(self, operation: body)
    }

    /// Runs `body` with this interposer where no task runs, on behalf of one for which it is in force.
    package func standingIn<R>(_ body: () -> R) -> R { Interposer.$current.withValue(self, operation: body) }

    private func enter() {
        Interposer.all.withLock { $0.append(self) }
        Interposer.inForce.add(1, ordering: .sequentiallyConsistent)
    }

    private func leave() {
        Interposer.inForce.subtract(1, ordering: .sequentiallyConsistent)
        Interposer.all.withLock { all in all.removeAll { $0 === self } }
    }

    static func verdict(_ call: SystemCall, _ descriptor: CInt) -> Verdict {
        guard inForce.load(ordering: .relaxed) != 0, let current else { return .pass }
        return current.decide(call, descriptor)
    }

    static func tellOpened(_ descriptor: CInt) {
        guard inForce.load(ordering: .relaxed) != 0 else { return }
        current?.opened(descriptor)
    }

    static func tellClosed(_ descriptor: CInt) {
        guard inForce.load(ordering: .relaxed) != 0 else { return }
        for interposer in all.withLock({ $0 }) { interposer.closed(descriptor) }
    }
}
