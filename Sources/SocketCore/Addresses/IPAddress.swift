#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// An IPv4 address: four bytes.
public struct IPv4Address: Hashable, Sendable {
    /// The address as a number, its first byte the most significant.
    public let value: UInt32

    /// The address whose number is `value`, its first byte the most significant.
    public init(value: UInt32) {
        self.value = value
    }

    /// Reads four decimal numbers from 0 to 255 joined by dots, and nothing else; nil for any other text.
    ///
    /// `127.1`, `0x7f.0.0.1` and `010.0.0.1` mean different addresses to different programs, so they mean none here.
    /// Corresponds to `inet_pton(3)`.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 != 0 }) else { return nil }
        var address = in_addr()
        guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
        value = UInt32(bigEndian: address.s_addr)
    }

    /// 127.0.0.1, this machine.
    public static let loopback = IPv4Address(value: 0x7f00_0001)
    /// 0.0.0.0: to listen on every IPv4 address of this machine.
    public static let any = IPv4Address(value: 0)

    /// Whether the address is in 127.0.0.0/8 and so never leaves this machine (RFC 1122).
    public var isLoopback: Bool { value >> 24 == 127 }

    /// Whether the address is a multicast group, in 224.0.0.0/4 (RFC 1112).
    package var isMulticast: Bool { value >> 28 == 0xe }
}

extension IPv4Address: CustomStringConvertible {
    /// Four decimal numbers joined by dots.
    public var description: String {
        "\(value >> 24).\(value >> 16 & 0xff).\(value >> 8 & 0xff).\(value & 0xff)"
    }
}

/// An IPv6 address: sixteen bytes, without a zone.
public struct IPv6Address: Hashable, Sendable {
    /// The first eight bytes as a number, the first of them the most significant.
    public let high: UInt64
    /// The last eight bytes as a number, the first of them the most significant.
    public let low: UInt64

    /// The address made of two halves, each with its first byte the most significant.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads an address as RFC 4291 writes it, without brackets and without a zone; nil for any other text.
    ///
    /// Corresponds to `inet_pton(3)`.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 != 0 }) else { return nil }
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
        self.init(address)
    }

    init(_ address: in6_addr) {
        (high, low) = withUnsafeBytes(of: address) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    var cValue: in6_addr {
        var address = in6_addr()
        withUnsafeMutableBytes(of: &address) { bytes in
            bytes.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return address
    }

    /// ::1, this machine.
    public static let loopback = IPv6Address(high: 0, low: 1)
    /// ::, to listen on every address of this machine.
    public static let any = IPv6Address(high: 0, low: 0)

    /// Whether the address is ::1 and so never leaves this machine.
    public var isLoopback: Bool { self == .loopback }

    /// Whether the address is in fe80::/10, and so means something only together with a zone.
    public var isLinkLocal: Bool { high >> 54 == 0x3fa }

    /// Whether the address is a multicast group, in ff00::/8.
    package var isMulticast: Bool { high >> 56 == 0xff }

    /// Whether the address is a group of one interface or of one link (RFC 4291, 2.7), and so needs a zone too.
    package var isGroupOfOneLink: Bool { isMulticast && [1, 2].contains(high >> 48 & 0xf) }

    /// The IPv4 address inside `::ffff:a.b.c.d`, which is how a dual-stack socket names an IPv4 peer (RFC 4291, 2.5.5.2).
    public var mappedIPv4: IPv4Address? {
        high == 0 && low >> 32 == 0xffff ? IPv4Address(value: UInt32(truncatingIfNeeded: low)) : nil
    }
}

extension IPv6Address: CustomStringConvertible {
    /// The address as RFC 5952 recommends: lower case, the longest run of zeros as `::`.
    public var description: String {
        var address = cValue
        let text = [UInt8](unsafeUninitializedCapacity: Int(INET6_ADDRSTRLEN)) { buffer, count in
            let found = inet_ntop(AF_INET6, &address, buffer.baseAddress, socklen_t(buffer.count))
            count = found.map { strlen($0) } ?? 0
        }
        return String(decoding: text, as: UTF8.self)
    }
}
