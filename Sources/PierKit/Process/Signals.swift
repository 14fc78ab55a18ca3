internal import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// SIGINT, SIGTERM and SIGHUP, as events instead of ends.
enum Signals {
    /// Those that the parent did not have ignored: nohup(1) ignores SIGHUP, and a shell without job control SIGINT for what it
    /// starts in the background.
    ///
    /// A program has a group of its own, so the terminal's hang-up reaches it only by this process.
    private static let watched = [SIGINT, SIGTERM, SIGHUP].filter { !System.ignores($0) }

    /// Calls `handler` for each signal, on a thread of its own. Call it before other threads start: they inherit that the
    /// signals are blocked, so none of them is interrupted.
    static func watch(_ handler: @escaping @Sendable (CInt) -> Void) {
        let watched = watched
        System.block(watched)
        // Without a thread the signals stay blocked and the process can still be killed.
        _ = Threads.start("signals") {
            var repeats = SignalRepeats()
            while true {
                guard let signal = System.awaitSignal(among: watched) else { continue }
                if repeats.counts(signal, at: System.now) { handler(signal.number) }
            }
        }
    }
}

/// Tells a second signal from a repeat of the first.
///
/// timeout(1) sends its signal to the child and then to the child's group, so the child receives it twice. The same signal
/// from the same process within half a second is therefore one signal. A Ctrl-C comes from the kernel and always counts.
struct SignalRepeats {
    /// In nanoseconds.
    static let window: UInt64 = 500_000_000

    private var last: (signal: System.Signal, time: UInt64)?

    /// Whether the signal is new. The window opens with the signal that counted, so a sender that goes on sending is heard.
    mutating func counts(_ signal: System.Signal, at time: UInt64) -> Bool {
        if let last, signal.sender != nil, last.signal == signal, time &- last.time < Self.window { return false }
        last = (signal, time)
        return true
    }
}
