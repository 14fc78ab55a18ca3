internal import CSockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif
package import SystemPackage

// Bytes that go from one descriptor to another by way of a pipe, and never through this process.

extension System {
    /// A pipe's two ends, to read from and to write to, that holds about `size` bytes. They are not counted as a test's: who
    /// makes pipes keeps them for the next transfer.
    package static func pipe(size: Int) throws(Errno) -> (CInt, CInt) {
        var ends: (CInt, CInt) = (-1, -1)
        _ = try result(.pipe, -1) {
            withUnsafeMutableBytes(of: &ends) { bytes in
                guard let ends = bytes.baseAddress?.assumingMemoryBound(to: CInt.self) else { return -1 }
                return csockets_pipe(ends, CInt(clamping: size))
            }
        }
        return ends
    }

    /// How many descriptors the process may have (`getrlimit(2)`).
    package static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Moves bytes out of a socket into a pipe: how many, 0 at the end, or the word to wait.
    package static func splice(_ descriptor: CInt, intoPipe pipe: CInt, upTo most: Int) throws(Errno) -> Attempt<Int> {
        try transfer(.splice, descriptor, .receive, count: most) { csockets_splice(descriptor, pipe, $0) }
    }

    /// Moves bytes out of a pipe into a socket.
    package static func splice(pipe: CInt, into descriptor: CInt, upTo most: Int) throws(Errno) -> Attempt<Int> {
        try transfer(.splice, descriptor, .send, count: most) { csockets_splice(pipe, descriptor, $0) }
    }

    /// Has the calling thread get no SIGPIPE; a call that would have sent it still fails with EPIPE.
    package static func blockPipeSignal() { csockets_block_pipe_signal() }
}
