import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A client, or an accepted peer, of nothing but system calls; so that Pier is not tested with itself. Each call gives up
/// after two minutes.
final class Peer: Sendable {
    let descriptor: CInt

    fileprivate init(owning descriptor: CInt) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to a port of this machine.
    convenience init(port: UInt16, host: String = "127.0.0.1", receiveBuffer: CInt? = nil) throws {
        let descriptor = try newSocket(AF_INET)
        self.init(owning: descriptor)
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<CInt>.size))
        }
        _ = try withAddress(host, port) { try valid(connect(descriptor, $0, $1)) }
    }

    /// Connects to a Unix path.
    convenience init(path: String) throws {
        let descriptor = try newSocket(AF_UNIX)
        self.init(owning: descriptor)
        _ = try withAddress(path) { try valid(connect(descriptor, $0, $1)) }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Errno(rawValue: errno) }
            sent += count
        }
    }

    /// Receives this many bytes, or fewer where the stream ends.
    func receive(_ count: Int) throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(count, 65536))
        while all.count < count {
            let got = recv(descriptor, &buffer, min(buffer.count, count - all.count), 0)
            guard got >= 0 else { throw Errno(rawValue: errno) }
            if got == 0 { break }
            all += buffer[..<got]
        }
        return all
    }

    /// Receives until the peer has finished.
    func receiveText() throws -> String { String(decoding: try receive(.max), as: UTF8.self) }

    /// Sends a text and waits until it is back.
    func echo(_ text: String) throws -> String {
        try send(text)
        return String(decoding: try receive(text.utf8.count), as: UTF8.self)
    }

    /// Whether something can be received now, the end included.
    var hasNews: Bool { hasNews(within: 0) }

    /// Whether something can be received within some milliseconds, the end included.
    func hasNews(within milliseconds: CInt) -> Bool { isReady(POLLIN, milliseconds) }

    /// Whether something can be sent within some milliseconds.
    func canSend(within milliseconds: CInt) -> Bool { isReady(POLLOUT, milliseconds) }

    private func isReady(_ event: CInt, _ milliseconds: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, milliseconds) == 1
    }

    /// Ends the sending direction.
    func finish() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Closes it, though the object stays: its number becomes another socket's, which is connected to nothing.
    func closeNow() throws {
        let other = try newSocket(AF_INET)
        defer { close(other) }
        _ = try valid(dup2(other, descriptor))
        _ = try valid(fcntl(descriptor, F_SETFD, FD_CLOEXEC))
    }

    /// Makes the coming close a reset.
    func resetAtClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Resets the connection.
    func resetNow() throws {
        resetAtClose()
        // Disconnecting does at once what the last close would do.
        var address = sockaddr()
        address.sa_family = sa_family_t(AF_UNSPEC)
        _ = try valid(connect(descriptor, &address, socklen_t(MemoryLayout<sockaddr>.size)))
    }
}

/// A listening socket of nothing but system calls.
final class Host: Sendable {
    let descriptor: CInt
    let port: UInt16

    init(host: String = "127.0.0.1", backlog: CInt = 16) throws {
        descriptor = try newSocket(AF_INET)
        _ = try withAddress(host, 0) { [descriptor] in try valid(bind(descriptor, $0, $1)) }
        _ = try valid(listen(descriptor, backlog))
        port = localPort(of: descriptor)
    }

    deinit { close(descriptor) }

    /// Fills the queue of a backlog of 0 with clients that are never accepted, so that the next one gets no answer.
    func fill() throws -> [Peer] {
        try (0..<3).map { _ in
            let filler = Peer(owning: try newSocket(AF_INET))
            _ = try valid(fcntl(filler.descriptor, F_SETFL, O_NONBLOCK))
            try withAddress("127.0.0.1", port) { _ = connect(filler.descriptor, $0, $1) }
            return filler
        }
    }

    /// Waits for a client.
    func accept() async throws -> Peer {
        try await eventually(patience, "a client") { [descriptor] in
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&entry, 1, 0) == 1
        }
        var accepted: CInt = -1
        try uninherited {
            accepted = try valid(Glibc.accept(descriptor, nil, nil))
            return [accepted]
        }
        return Peer(owning: accepted)
    }
}

/// A TCP port that nobody has.
func freePort(host: String = "127.0.0.1") throws -> UInt16 {
    try unusedPort { port in
        let descriptor = try newSocket(AF_INET)
        defer { close(descriptor) }
        return try withAddress(host, port) { bind(descriptor, $0, $1) == 0 }
    }
}

private func newSocket(_ family: CInt) throws -> CInt {
    try valid(socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
}

func localPort(of descriptor: CInt) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutableBytes(of: &address) { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
    }
    return UInt16(bigEndian: address.sin_port)
}

private func withAddress<R>(
    _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R
) throws -> R {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return try withUnsafePointer(to: &address) { pointer in
        try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}

func withAddress<R>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R
) throws -> R {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return try withUnsafePointer(to: &address) { pointer in
        try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
