internal import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// SIGINT, SIGTERM and SIGHUP, as events instead of ends.
enum Signals {
    /// A program has a group of its own, so that the terminal's hang-up reaches it only by this process. Who is started to
    /// outlive its terminal ignores it.
    private static let watched = System.ignores(SIGHUP) ? [SIGINT, SIGTERM] : [SIGINT, SIGTERM, SIGHUP]

    /// Tells `handler` of each signal, on a thread of its own. To be called before other threads start: they inherit that
    /// the signals are blocked, so none of them is interrupted.
    static func watch(_ handler: @escaping @Sendable (CInt) -> Void) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in watched { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // Without a thread the signals stay blocked and the process can still be killed.
        _ = Threads.start("signals") {
            var set = sigset_t()
            sigemptyset(&set)
            for number in watched { sigaddset(&set, number) }
            while true {
                var number: CInt = 0
                if sigwait(&set, &number) == 0 { handler(number) }
            }
        }
    }
}
