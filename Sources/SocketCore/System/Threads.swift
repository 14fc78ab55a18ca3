#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif
package import SystemPackage

/// Threads for what can only be waited for by blocking one. Each has the seam of who started it.
package enum Threads {
    private final class Body {
        let name: String
        let interposer = Interposer.current
        let run: () -> Void

        init(_ name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a detached thread; false when the system has none left. `pthread_create(3)`
    package static func start(_ name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        (try? start(name, stack: usualStack, run)) != nil
    }

    /// The size of a stack: a thousand threads must not ask for gigabytes.
    private static let usualStack = 256 * 1024

    /// The same with another size of the stack; throws why there is no thread.
    package static func start(
        _ name: String, stack: Int, _ run: @escaping @Sendable () -> Void
    ) throws(Errno) {
        if case .fail(let errno) = Interposer.verdict(.thread, -1) { throw errno }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, stack)
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name, run))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                System.nameThread(body.name)
                // A signal is not for this thread to take, least of all SIGPIPE, where a pipe's reader has gone.
                System.blockSignals()
                Interposer.$current.withValue(body.interposer) { body.run() }
                return nil
            }, body.toOpaque())
        if code == 0 { return }
        body.release()
        throw Errno(rawValue: code)
    }
}
