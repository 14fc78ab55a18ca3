#if canImport(Glibc)
    package import Glibc
#elseif canImport(Musl)
    package import Musl
#endif

/// What the kernel takes for an address of a socket: an IP address and a port, or a place of a Unix socket.
///
/// It is always numeric; what a person writes, with names in it, is an `Endpoint`. Corresponds to `struct sockaddr`.
public enum SocketAddress: Hashable, Sendable {
    /// An IPv4 address and a port (`ip(7)`).
    case ipv4(IPv4Address, port: UInt16)
    /// An IPv6 address, a port, and the number of the interface that a link-local address belongs to, or 0 (`ipv6(7)`).
    case ipv6(IPv6Address, port: UInt16, zone: UInt32 = 0)
    /// A place of a Unix socket (`unix(7)`).
    case unix(UnixAddress)

    /// The address of a Unix socket that was never bound, such as a client's.
    public static let unnamed = SocketAddress.unix(.unnamed)

    /// Reads `127.0.0.5:8520`, `[::1]:8520`, `[fe80::1%eth0]:8520`, `/run/a.sock`, `./a.sock` or `@abstract`.
    ///
    /// Throws `EndpointError`, which says what is wrong and where. A name is refused: it needs resolving.
    public init(_ text: String) throws(EndpointError) {
        var parser = EndpointParser(text, keys: [])
        self = try parser.parseAddress()
    }

    /// The port, of an IP address.
    public var port: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port, _): port
        case .unix: nil
        }
    }

    /// Whether only programs on this machine can be at the address.
    public var isLoopback: Bool {
        switch self {
        case .ipv4(let address, _): address.isLoopback
        case .ipv6(let address, _, _): address.isLoopback || address.mappedIPv4?.isLoopback == true
        case .unix: true
        }
    }

    /// Whether it is a multicast group: what is sent there goes to each of its members.
    package var isMulticast: Bool {
        switch self {
        case .ipv4(let address, _): address.isMulticast
        case .ipv6(let address, _, _): address.isMulticast
        case .unix: false
        }
    }

    /// Whether it means something only together with an interface.
    package var isOfOneLink: Bool {
        guard case .ipv6(let address, _, _) = self else { return false }
        return address.isLinkLocal || address.isGroupOfOneLink
    }

    /// The same address with another port; a Unix address stays as it is.
    public func with(port: UInt16) -> SocketAddress {
        switch self {
        case .ipv4(let address, _): .ipv4(address, port: port)
        case .ipv6(let address, _, let zone): .ipv6(address, port: port, zone: zone)
        case .unix: self
        }
    }

    /// As few words as tell addresses apart: a server finds the session of each datagram by its sender.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .ipv4(let address, let port):
            hasher.combine(UInt64(address.value) << 16 | UInt64(port))
        case .ipv6(let address, let port, let zone):
            hasher.combine(address.high)
            hasher.combine(address.low)
            hasher.combine(UInt64(zone) << 16 | UInt64(port))
        case .unix(let address):
            hasher.combine(address)
        }
    }

    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    package var family: CInt {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// The address as it is written in an endpoint, so that it parses back; an IPv6 address that stands for an IPv4 one comes
    /// back as that. What only the kernel makes, an unnamed Unix socket or an abstract name with zero bytes, does not parse.
    public var description: String {
        switch self {
        case .ipv4(let address, let port): "\(address):\(port)"
        case .ipv6(let address, let port, 0): "[\(address)]:\(port)"
        case .ipv6(let address, let port, let zone): "[\(address)%\(zoneName(zone))]:\(port)"
        case .unix(let address): address.description
        }
    }
}

// MARK: - To and from the kernel

extension SocketAddress {
    /// Calls `body` with the address as `bind(2)`, `connect(2)` and their like take it.
    package func withSockAddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var storage = sockaddr_storage()
        let length = withUnsafeMutableBytes(of: &storage) { write(into: $0) }
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }

    /// Writes it where the kernel is to read it, over whatever stands there; how many bytes it has. There is room for a
    /// sockaddr_storage.
    func write(into bytes: UnsafeMutableRawBufferPointer) -> Int {
        switch self {
        case .ipv4(let address, let port):
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = port.bigEndian
            value.sin_addr.s_addr = address.value.bigEndian
            bytes.storeBytes(of: value, as: sockaddr_in.self)
            return MemoryLayout<sockaddr_in>.size
        case .ipv6(let address, let port, let zone):
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            value.sin6_addr = address.cValue
            value.sin6_scope_id = zone
            bytes.storeBytes(of: value, as: sockaddr_in6.self)
            return MemoryLayout<sockaddr_in6>.size
        case .unix(let address):
            // `UnixAddress` holds at most 108 bytes, and sockaddr_storage has 128.
            bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            UnsafeMutableRawBufferPointer(rebasing: bytes[Self.unixPathOffset...]).copyBytes(from: address.bytes)
            // The length tells an abstract name's end; a path's end is its zero, which the kernel wants counted.
            let end = Self.unixPathOffset + address.bytes.count
            guard address.kind == .path else { return end }
            bytes[end] = 0
            return end + 1
        }
    }

    private static let unixPathOffset = MemoryLayout<sa_family_t>.size

    /// The address that `body` makes the kernel write; nil when it fails (a negative result) or the family is unknown.
    package static func filled(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &length) }
        }
        guard code >= 0 else { return nil }
        return withUnsafeBytes(of: &storage) { bytes in
            SocketAddress(kernel: UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(length))))
        }
    }

    /// From the bytes of a sockaddr. An IPv4 peer of a dual-stack socket gets its IPv4 address back: one peer, one name.
    package init?(kernel bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= MemoryLayout<sa_family_t>.size else { return nil }
        switch CInt(bytes.loadUnaligned(as: sa_family_t.self)) {
        case AF_INET where bytes.count >= MemoryLayout<sockaddr_in>.size:
            let value = bytes.loadUnaligned(as: sockaddr_in.self)
            self = .ipv4(
                IPv4Address(value: UInt32(bigEndian: value.sin_addr.s_addr)), port: UInt16(bigEndian: value.sin_port))
        case AF_INET6 where bytes.count >= MemoryLayout<sockaddr_in6>.size:
            let value = bytes.loadUnaligned(as: sockaddr_in6.self)
            let address = IPv6Address(value.sin6_addr)
            let port = UInt16(bigEndian: value.sin6_port)
            if let mapped = address.mappedIPv4 {
                self = .ipv4(mapped, port: port)
            } else {
                self = .ipv6(address, port: port, zone: value.sin6_scope_id)
            }
        case AF_UNIX:
            self = .unix(UnixAddress(kernel: UnsafeRawBufferPointer(rebasing: bytes[Self.unixPathOffset...])))
        default:
            return nil
        }
    }
}

/// The name of an interface, or its number where it has none any more.
/// The number of an interface that is written as its name or number; nil where this machine has none of that name.
package func interfaceNumber(_ written: String) -> UInt32? {
    let index = if_nametoindex(written)
    if index != 0 { return index }
    guard let number = strictNumber(written.utf8), number > 0 else { return nil }
    return UInt32(exactly: number)
}

private func zoneName(_ zone: UInt32) -> String {
    let text = [UInt8](unsafeUninitializedCapacity: Int(IF_NAMESIZE)) { buffer, count in
        count = buffer.withMemoryRebound(to: CChar.self) { name in
            name.baseAddress.flatMap { if_indextoname(zone, $0) }.map { strlen($0) } ?? 0
        }
    }
    let name = text.isEmpty ? String(zone) : percentEscaped(text[...], also: "?%&]")
    // A parser takes a leading 25 for the escape of the percent sign.
    return name.hasPrefix("25") && name != "25" ? "25" + name : name
}
