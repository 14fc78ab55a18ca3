internal import SocketCore
internal import Sockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// What is cut short must not look like an end to its peer: a TCP connection is reset, and a program is ended by a signal
// before its input ends. A Unix socket, a pipe and a file have no reset: there the exit status, a line and an event tell.

/// What the process does to its connections when it ends before they do.
enum CutShort {
    /// Resets every TCP connection of this process that still may send.
    ///
    /// Looks at all descriptors, because this is needed once, at the end: a list of connections would cost each client
    /// something. A connection that is made at the same moment may be missed.
    static func resetConnections() {
        guard let folder = opendir("/proc/self/fd") else {
            // Without /proc: as many numbers as a usual limit allows.
            for number in 3..<CInt(clamping: min(System.descriptorLimit, 65536)) { System.resetIfOurs(number) }
            return
        }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = CInt(name) { System.resetIfOurs(number) }
        }
    }
}

extension OpenedStream {
    /// Keeps what is cut short from looking like an end: resets a peer's connection, and sends a program SIGTERM while its
    /// input is still open. What a file or a pipe was sent is still written.
    func cutShort() {
        switch counterpart {
        case .peer: connection.abort()
        case .program(let program): program.signal(SIGTERM)
        case .bridge: break
        }
    }
}
