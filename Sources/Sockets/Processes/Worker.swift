internal import CSockets
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A thread for what can only be waited for by blocking one. It has the seam of who started it.
enum Worker {
    private final class Body {
        let name: String
        let interposer: Interposer?
        let run: () -> Void

        init(_ name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
            interposer = Interposer.current
        }
    }

    /// Starts a detached thread. Throws when the system has none left.
    static func start(_ name: String, _ run: @escaping @Sendable () -> Void) throws(Errno) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        // There may be two for each client, and none has much to remember.
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name, run))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                System.nameThread(body.name)
                // Nor is a signal its to take: least SIGPIPE, where a pipe's reader has gone.
                System.blockSignals()
                Interposer.$current.withValue(body.interposer) { body.run() }
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            body.release()
            throw Errno(rawValue: code)
        }
    }
}
