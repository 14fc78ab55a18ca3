internal import CSockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Signals that this process receives.

extension System {
    /// A signal that was taken from the kernel's queue.
    package struct Signal: Sendable, Hashable {
        package let number: CInt
        /// The process that sent it by `kill(2)` (`SI_USER`); nil for any other origin, such as the terminal's Ctrl-C.
        package let sender: CInt?

        package init(_ number: CInt, sender: CInt?) {
            self.number = number
            self.sender = sender
        }
    }

    /// Whether this process ignores a signal, as one that nohup(1) has started does SIGHUP (`sigaction(2)`).
    package static func ignores(_ signal: CInt) -> Bool { csockets_is_ignored(signal) != 0 }

    /// Blocks all signals for the calling thread (`pthread_sigmask(3)`), but for SIGTTIN and SIGTTOU.
    ///
    /// A thread of a background job that uses the terminal must not block these two. The kernel stops the job by them only if
    /// the calling thread does not block them; otherwise it lets read(2) fail with EIO, and write(2) pass `stty tostop`.
    package static func blockSignals() {
        var most = sigset_t()
        sigfillset(&most)
        sigdelset(&most, SIGTTIN)
        sigdelset(&most, SIGTTOU)
        pthread_sigmask(SIG_SETMASK, &most, nil)
    }

    /// Blocks these signals for the calling thread too (`pthread_sigmask(3)`). A thread starts with its creator's mask.
    package static func block(_ signals: [CInt]) {
        var set = set(of: signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Takes the next of these signals, which all threads must block (`sigwaitinfo(2)`). Blocks the thread; nil when another
    /// signal interrupted the wait, as SIGCONT does.
    package static func awaitSignal(among signals: [CInt]) -> Signal? {
        var set = set(of: signals)
        var sender: CInt = -1
        let number = csockets_await_signal(&set, &sender)
        return number > 0 ? Signal(number, sender: sender < 0 ? nil : sender) : nil
    }

    /// Ends the process by a signal, so that the parent sees which one: restores its default action, unblocks it for the
    /// calling thread, and raises it (`raise(3)`).
    ///
    /// Returns where the kernel does not let the signal end the process: in process 1 of a PID namespace.
    package static func end(by number: CInt) {
        csockets_restore_default(number)
        var set = set(of: [number])
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
    }

    private static func set(of signals: [CInt]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in signals { sigaddset(&set, number) }
        return set
    }
}
