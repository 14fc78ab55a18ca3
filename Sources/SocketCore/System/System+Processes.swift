internal import CSockets
package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Programs that this process runs.

extension System {
    /// How a program ended.
    package enum ProcessEnd: Sendable, Hashable {
        case exited(CInt)
        case signalled(CInt)
    }

    /// Runs a program with a socket for its standard input and output; its process.
    ///
    /// The system tells here what is wrong with the program: the call ends when the program has begun, or could not.
    package static func spawn(
        _ arguments: [String], settings: [String], standardStreams socket: CInt
    ) throws(Errno) -> CInt {
        try withCStrings(arguments) { (arguments) throws(Errno) in
            try withCStrings(settings) { (settings) throws(Errno) in
                try result(.spawn, socket) { csockets_spawn(arguments, settings, socket) }
            }
        }
    }

    /// Copies of the texts for C, with a null behind the last.
    private static func withCStrings<R>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) throws(Errno) -> R
    ) throws(Errno) -> R {
        var copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        if copies.contains(nil) { throw .noMemory }
        copies.append(nil)
        return try copies.withUnsafeBufferPointer { (buffer) throws(Errno) in
            guard let start = buffer.baseAddress else { throw .noMemory }
            return try body(start)
        }
    }

    /// How a child ended, which it then is no longer; or the word to wait (for its pidfd).
    package static func reap(_ process: CInt) throws(Errno) -> Attempt<ProcessEnd> {
        var end = csockets_end()
        guard try result(.waitid, -1, { csockets_reap(process, &end) }) > 0 else { return .wait(.receive) }
        return .done(end.is_signalled != 0 ? .signalled(end.code) : .exited(end.code))
    }

    /// Blocks the thread until a child has ended; it is still to be reaped.
    package static func awaitEnd(_ process: CInt) throws(Errno) {
        _ = try result(.waitid, -1) { csockets_await_end(process) }
    }

    /// A descriptor that can be received from, as poll(2) calls it, when the process has ended.
    package static func pidfd(_ process: CInt) throws(Errno) -> Descriptor {
        try opening(.pidfdOpen) { csockets_pidfd_open(process) }
    }

    /// Sends a signal to all of a process group, whose number must not be another's by now.
    package static func signal(group: CInt, _ signal: CInt) throws(Errno) {
        _ = try result(.kill, -1) { kill(-group, signal) }
    }

    /// Sends a signal to all of the group that a process leads, or led before it was reaped.
    package static func signal(groupOf pidfd: CInt, _ signal: CInt) throws(Errno) {
        _ = try result(.pidfdSendSignal, pidfd) { csockets_signal_group_of(pidfd, signal) }
    }

    /// For a descriptor that another program gets, which does not expect would-block.
    package static func makeBlocking(_ descriptor: CInt) throws(Errno) {
        _ = try result(.fcntl, descriptor) { csockets_set_blocking(descriptor) }
    }
}
