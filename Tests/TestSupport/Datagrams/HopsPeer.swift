package import Sockets
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A UDP socket of nothing but system calls, connected to a port of this machine: it says how many hops its datagrams have,
/// and is told how many those that come have left (IP_RECVTTL, IPV6_RECVHOPLIMIT). No ledger counts it.
package final class HopsPeer: Sendable {
    private let descriptor: CInt
    private let isIPv6: Bool

    package init(to port: UInt16, isIPv6: Bool) throws {
        self.isIPv6 = isIPv6
        let kind = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, kind, 0)
        set(isIPv6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, to: 1)
        let isConnected =
            if isIPv6 {
                connect(
                    sockaddr_in6(
                        sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0,
                        sin6_addr: in6addr_loopback, sin6_scope_id: 0))
            } else {
                connect(
                    sockaddr_in(
                        sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
                        sin_addr: in_addr(s_addr: UInt32(0x7f00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)))
            }
        guard isConnected else { throw Errno(rawValue: errno) }
    }

    deinit { close(descriptor) }

    /// Where it is, for whoever sends to it.
    package var address: SocketAddress {
        get throws {
            let copy = try DatagramSocket(adopting: dup(descriptor))
            defer { copy.close() }
            return try copy.localAddress
        }
    }

    /// Sends one datagram with a number of hops.
    package func send(_ bytes: [UInt8], hops: Int) throws {
        set(isIPv6 ? IPV6_UNICAST_HOPS : IP_TTL, to: CInt(hops))
        guard Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count else {
            throw Errno(rawValue: errno)
        }
    }

    /// The next datagram, and how many hops it has left; nil when there is none yet.
    package func next() -> (bytes: [UInt8], hops: Int)? {
        var (bytes, control) = ([UInt8](repeating: 0, count: 2048), [UInt8](repeating: 0, count: 64))
        let count = bytes.withUnsafeMutableBytes { bytes in
            control.withUnsafeMutableBytes { control in
                var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                return withUnsafeMutablePointer(to: &part) { part in
                    var header = msghdr()
                    header.msg_iov = part
                    header.msg_iovlen = 1
                    header.msg_control = control.baseAddress
                    header.msg_controllen = control.count
                    return recvmsg(descriptor, &header, 0)
                }
            }
        }
        guard count >= 0 else { return nil }
        // The only message that was asked for; behind its header, a number.
        let hops = control.withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: MemoryLayout<cmsghdr>.size, as: CInt.self)
        }
        return (Array(bytes.prefix(count)), Int(hops))
    }

    /// The next datagrams, by their first byte, with the hops that each has left.
    package func hops(of count: Int) async throws -> [UInt8: Int] {
        var found: [UInt8: Int] = [:]
        while found.count < count {
            try await eventually(patience, "datagram \(found.count + 1) of \(count)") { self.hasNews }
            if let (bytes, hops) = next(), let mark = bytes.first { found[mark] = hops }
        }
        return found
    }

    package var hasNews: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1
    }

    private func connect<Address>(_ address: Address) -> Bool {
        withUnsafeBytes(of: address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) {
                Glibc.connect(descriptor, $0.baseAddress, socklen_t(bytes.count)) == 0
            }
        }
    }

    private func set(_ option: CInt, to value: CInt) {
        var value = value
        setsockopt(
            descriptor, isIPv6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP), option, &value,
            socklen_t(MemoryLayout<CInt>.size))
    }
}
