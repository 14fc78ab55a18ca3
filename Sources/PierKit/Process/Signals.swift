internal import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// SIGINT and SIGTERM, as events instead of ends.
enum Signals {
    private static let watched = [SIGINT, SIGTERM]

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

/// Threads for what blocks.
enum Threads {
    private final class Body {
        let name: String
        let run: () -> Void
        init(_ name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a detached thread; false when the system has none left.
    static func start(_ name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        // A thousand of them must not ask for gigabytes.
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name, run))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                System.nameThread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        if code != 0 { body.release() }
        return code == 0
    }
}
