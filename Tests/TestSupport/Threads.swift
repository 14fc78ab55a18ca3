internal import SocketCore
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Runs `body` on a thread of its own, joins it, and gives its result: the way to the verbs that block.
///
/// The thread is under the caller's ledger.
package func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    let interposer = Interposer.current
    let (thread, result) = await withCheckedContinuation { continuation in
        let work = ThreadWork {
            let result = Interposer.$current.withValue(interposer) { Result { try body() } }
            continuation.resume(returning: (UInt(pthread_self()), result))
        }
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, runWork, Unmanaged.passRetained(work).toOpaque())
        precondition(code == 0, "a test needs a thread")
    }
    // It has nothing left to do but to end.
    pthread_join(pthread_t(thread), nil)
    return try result.get()
}

private final class ThreadWork: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<ThreadWork>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}
