internal import Loops
internal import SocketCore
internal import SystemPackage

// A child that has ended stays in the system's table, a zombie, until its parent asks how it ended. Here it is asked as
// soon as there is an answer, whether somebody wants to know it or not.
//
// A loop waits for it, by a pidfd: no signal handler, which would be the whole process's, and no thread for each child.
// Where the system has no pidfd (before Linux 5.3, or in a sandbox that forbids it), or none can be had, a thread waits.

/// Who waits for one child, takes its end, and knows to whom a signal may still be sent.
final class Reaper: Sendable {
    let process: CInt
    let end = Completion<ChildProcess.ExitStatus>()
    private let pidfd: Waitable?
    /// While the child is not reaped its number is nobody else's, nor its group's.
    private let isReaped = Lock(false)
    private let isSignalled = Lock(false)

    /// Whether a signal was sent to the child while it was there.
    var hasSignalled: Bool { isSignalled.withLock { $0 } }

    init(_ process: CInt) {
        self.process = process
        do throws(Errno) {
            pidfd = Waitable(try System.pidfd(process), shortReadsDrain: false)
        } catch {
            pidfd = nil
        }
    }

    // The last to know it is the wait below or the `ChildProcess`, whichever ends later.
    deinit { pidfd?.close() }

    /// Begins to wait.
    func start() {
        guard let pidfd, let loop = try? EventLoopGroup.shared.next() else { return waitInThread() }
        pidfd.adopt(loop)
        Task(executorPreference: loop) { [self] in await waitInLoop(ReapedChild(pidfd, self)) }
    }

    private func waitInLoop(_ child: ReapedChild) async {
        do throws(SocketError) {
            finish(try await child.reap())
        } catch {
            // The loop ended, or could not take the descriptor; the child may still run.
            if case .system(.noChildProcess) = error.cause { finish(nil) } else { waitInThread() }
        }
    }

    private func waitInThread() {
        if Threads.start("reaper", { [self] in waitBlocking() }) { return }
        // No thread is left either: to look now and then is what can still be done.
        Task { [self] in
            while end.value == nil {
                reapIfEnded()
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private func waitBlocking() {
        try? System.awaitEnd(process)
        reapIfEnded()
    }

    private func reapIfEnded() {
        do throws(Errno) {
            if case .done(let ended) = try attempt() { finish(ended) }
        } catch {
            finish(nil)
        }
    }

    /// One try at the child's end.
    fileprivate func attempt() throws(Errno) -> Attempt<System.ProcessEnd> {
        // Under the lock, so that no signal is sent to a number that is given up meanwhile.
        try isReaped.withLock { (isReaped) throws(Errno) in
            do throws(Errno) {
                let found = try System.reap(process)
                if case .done = found { isReaped = true }
                return found
            } catch {
                // Somebody else has taken its end, so the number may be anybody's.
                isReaped = true
                throw error
            }
        }
    }

    private func finish(_ ended: System.ProcessEnd?) {
        switch ended {
        case .exited(let code): end.finish(.exited(code))
        case .signalled(let signal): end.finish(.signalled(signal))
        case nil: end.finish(.unknown)
        }
    }

    /// Sends a signal to the child and all that it has started, unless they left its group; false when nobody is there.
    ///
    /// When the child itself is gone the kernel must know the group by the pidfd (Linux 6.9): its number may be another's.
    @discardableResult
    func signalGroup(_ signal: CInt) -> Bool {
        let sent: Bool? = isReaped.withLock { isReaped in
            if isReaped { return nil }
            if signal != 0 { isSignalled.withLock { $0 = true } }
            return (try? System.signal(group: process, signal)) != nil
        }
        if let sent { return sent }
        let done: Void?? = try? pidfd?.use { (fd) throws(Errno) in try System.signal(groupOf: fd, signal) }
        return done.flatMap { $0 } != nil
    }
}

/// The pidfd, for the driver that waits.
private final class ReapedChild: DrivenSocket {
    let waitable: Waitable
    private let reaper: Reaper

    init(_ waitable: Waitable, _ reaper: Reaper) {
        self.waitable = waitable
        self.reaper = reaper
    }

    var trace: Trace? { nil }
    var who: SocketAddress { .unnamed }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        SocketError(operation, cause, target: "process \(reaper.process)")
    }

    func reap() async throws(SocketError) -> System.ProcessEnd {
        try await perform(.run, .receive, outcome: { _ in .ended }) { (_) throws(Errno) in try reaper.attempt() }
    }
}
