import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A socket for datagrams of nothing but system calls, so that Pier is not tested with itself. Each call gives up after
/// twenty seconds.
final class DatagramPeer: Sendable {
    let descriptor: CInt
    /// Where it is bound, of a Unix socket.
    private let path: String?

    private init(_ family: CInt, path: String? = nil) throws {
        descriptor = try valid(socket(family, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
        self.path = path
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connected to a UDP port, from a port that is free or asked for.
    convenience init(port: UInt16, host: String = "127.0.0.1", from ownPort: UInt16? = nil) throws {
        try self.init(host.contains(":") ? AF_INET6 : AF_INET)
        if let ownPort { _ = try withUDPAddress(host, ownPort) { try valid(bind(descriptor, $0, $1)) } }
        _ = try withUDPAddress(host, port) { try valid(connect(descriptor, $0, $1)) }
    }

    /// Bound to a free UDP port, for whoever sends.
    convenience init(boundTo host: String) throws {
        try self.init(host.contains(":") ? AF_INET6 : AF_INET)
        _ = try withUDPAddress(host, 0) { try valid(bind(descriptor, $0, $1)) }
    }

    /// Connected to a Unix path, from a path of its own.
    convenience init(path: String) throws {
        try self.init(boundToPath: temporaryPath("client"))
        _ = try withAddress(path) { try valid(connect(descriptor, $0, $1)) }
    }

    /// Bound to a Unix path, for whoever sends.
    convenience init(boundToPath own: String) throws {
        try self.init(AF_UNIX, path: own)
        _ = try withAddress(own) { try valid(bind(descriptor, $0, $1)) }
    }

    deinit {
        close(descriptor)
        if let path { unlink(path) }
    }

    var port: UInt16 { localPort(of: descriptor) }

    /// How a server shows it.
    var name: String {
        if let path { return path }
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: 64)
        let isKnown = withUnsafeMutableBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { address in
                getsockname(descriptor, address.baseAddress, &length) == 0
                    && getnameinfo(address.baseAddress, length, &host, 64, nil, 0, NI_NUMERICHOST) == 0
            }
        }
        guard isKnown else { return "?" }
        let text = String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.contains(":") ? "[\(text)]:\(port)" : "\(text):\(port)"
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends one datagram.
    func send(_ bytes: [UInt8]) throws {
        let count = Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
        guard count == bytes.count else { throw Errno(rawValue: errno) }
    }

    /// Sends one datagram unless it would have to wait; whether it did.
    func trySending(_ bytes: [UInt8]) -> Bool {
        Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)) == bytes.count
    }

    /// Receives one datagram.
    func receive() throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return Array(buffer[..<count])
    }

    /// Receives one datagram, and belongs to its sender from then on.
    func receiveFirst() throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return try withUnsafeMutableBytes(of: &address) { bytes in
            try bytes.withMemoryRebound(to: sockaddr.self) { address in
                let count = recvfrom(descriptor, &buffer, buffer.count, 0, address.baseAddress, &length)
                guard count >= 0 else { throw Errno(rawValue: errno) }
                _ = try valid(connect(descriptor, address.baseAddress, length))
                return Array(buffer[..<count])
            }
        }
    }

    /// Sends a datagram and receives the next one.
    func ask(_ bytes: [UInt8]) throws -> [UInt8] {
        try send(bytes)
        return try receive()
    }

    func ask(_ text: String) throws -> String { String(decoding: try ask(Array(text.utf8)), as: UTF8.self) }

    /// Whether the network says within some milliseconds that nobody is there.
    func isRefused(within milliseconds: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&entry, 1, milliseconds) == 1
    }

    /// Whether a datagram can be received within some milliseconds.
    func hasNews(within milliseconds: CInt = 0) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) == 1 && entry.revents & Int16(POLLIN) != 0
    }
}

/// A UDP port of 127.0.0.1 that nobody has.
func freeUDPPort() throws -> UInt16 {
    try unusedPort { port in
        let peer = try? DatagramPeer(port: 9, from: port)
        return peer != nil
    }
}

/// Whether some socket of this machine has the UDP port of an IPv4 address.
func isBound(udpPort port: UInt16, of host: String = "127.0.0.1") -> Bool {
    func digits(_ number: some BinaryInteger, _ count: Int) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: count - digits.count) + digits
    }
    var address = in_addr()
    inet_pton(AF_INET, host, &address)
    let place = ": \(digits(address.s_addr, 8)):\(digits(port, 4)) "
    return contents(of: "/proc/net/udp").split(separator: "\n").contains { $0.contains(place) }
}

/// A numeric address and a port as the kernel takes them.
func withUDPAddress<R>(
    _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R
) throws -> R {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
    hints.ai_socktype = CInt(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let first = list, let address = first.pointee.ai_addr else {
        throw Errno.invalidArgument
    }
    defer { freeaddrinfo(list) }
    return try body(address, first.pointee.ai_addrlen)
}
