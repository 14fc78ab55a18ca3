import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A UDP datagram that says it is from another than its sender (ip(7), raw(7)), over this machine's loopback.
enum ForgedDatagram {
    /// Why none can be sent here, in a sentence; nil when they can.
    static let missing: String? = {
        let descriptor = socket(AF_INET, CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue), CInt(IPPROTO_RAW))
        guard descriptor >= 0 else { return "a forged sender needs raw sockets, which are root's" }
        close(descriptor)
        return nil
    }()

    /// Sends it from one port to another, with as many hops as there can be.
    static func send(_ text: String, from source: UInt16, to target: UInt16, isIPv6: Bool = false) throws {
        let payload = Array(text.utf8)
        var udp = words(source, target, UInt16(8 + payload.count), 0) + payload
        // The loopback addresses, 127.0.0.1 and ::1.
        let address: [UInt8] = isIPv6 ? [UInt8](repeating: 0, count: 15) + [1] : [127, 0, 0, 1]
        let sum = checksum(address + address + words(17, UInt16(udp.count)) + udp)
        udp.replaceSubrange(6..<8, with: words(sum == 0 ? 0xffff : sum))
        let header =
            isIPv6
            ? [0x60, 0, 0, 0] + words(UInt16(udp.count)) + [17, 255] + address + address
                // The kernel fills in the length, the number and the checksum of IPv4's.
            : [0x45, 0, 0, 0, 0, 0, 0, 0, 255, 17, 0, 0] + address + address
        let family = isIPv6 ? AF_INET6 : AF_INET
        let descriptor = try valid(
            socket(family, CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue), CInt(IPPROTO_RAW)))
        defer { close(descriptor) }
        let packet = header + udp
        let sent = try withUDPAddress(isIPv6 ? "::1" : "127.0.0.1", 0) {
            sendto(descriptor, packet, packet.count, 0, $0, $1)
        }
        guard sent == packet.count else { throw Errno(rawValue: errno) }
    }

    private static func words(_ values: UInt16...) -> [UInt8] {
        values.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
    }

    /// The internet checksum (RFC 1071).
    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum > 0xffff { sum = (sum >> 16) + (sum & 0xffff) }
        return ~UInt16(sum)
    }
}
