import Sockets
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// What a program on the other side can do, and Pier itself never does: through the bare descriptor.

extension DatagramSocket {
    /// One send(2) to the peer, which does not wait and which no ledger counts; whether the kernel took it.
    @discardableResult
    func rawSend(_ bytes: [UInt8]) -> Bool {
        let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
        return (try? withDescriptor { fd in sendto(fd, bytes, bytes.count, flags, nil, 0) >= 0 }) ?? false
    }

    /// Whether a datagram is there, by a poll(2) that no ledger counts.
    var hasNews: Bool {
        let found = try? withDescriptor { fd in
            var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            return poll(&entry, 1, 0) == 1
        }
        return found ?? false
    }

    /// Sends to the peer until its queue is full; gives the number of datagrams, which are numbered by their first byte.
    @discardableResult
    func fillPeer() -> Int {
        var count = 0
        while count < 100_000, rawSend([UInt8(truncatingIfNeeded: count), 0x2e]) { count += 1 }
        return count
    }
}

/// A source of UDP datagrams over IPv4 that says of each that it comes from wherever the test likes (raw(7)); needs root.
final class Spoofer: Sendable {
    private let descriptor: CInt

    /// Why there can be none here; nil when there can.
    static let missing: String? = {
        let probe = socket(AF_INET, CInt(SOCK_RAW.rawValue), CInt(IPPROTO_RAW))
        guard probe >= 0 else { return "datagrams with another's address need root (CAP_NET_RAW)" }
        close(probe)
        return nil
    }()
    static var isAvailable: Bool { missing == nil }
    static var whyNot: String { missing ?? "" }

    init() { descriptor = socket(AF_INET, CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue), CInt(IPPROTO_RAW)) }
    deinit { close(descriptor) }

    /// Sends one datagram; whether the kernel took it. Only for addresses of this machine's loopback.
    @discardableResult
    func send(_ bytes: [UInt8], from source: SocketAddress, to target: SocketAddress, hops: UInt8 = 64) -> Bool {
        guard case .ipv4(let sender, let senderPort) = source, case .ipv4(let receiver, let receiverPort) = target,
            sender.isLoopback, receiver.isLoopback
        else { return false }
        func two(_ value: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
        func four(_ value: UInt32) -> [UInt8] { two(Int(value >> 16)) + two(Int(value & 0xffff)) }
        // RFC 791: the kernel fills in the identification and the checksum. RFC 768: a checksum of 0 is none.
        let ip: [UInt8] =
            [0x45, 0] + two(28 + bytes.count) + [0, 0, 0, 0, hops, UInt8(IPPROTO_UDP), 0, 0]
            + four(sender.value) + four(receiver.value)
        let udp = two(Int(senderPort)) + two(Int(receiverPort)) + two(8 + bytes.count) + [0, 0]
        let packet = ip + udp + bytes
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = receiver.value.bigEndian
        return withUnsafePointer(to: &place) { place in
            place.withMemoryRebound(to: sockaddr.self, capacity: 1) { place in
                sendto(descriptor, packet, packet.count, 0, place, socklen_t(MemoryLayout<sockaddr_in>.size)) >= 0
            }
        }
    }
}

/// Sends a datagram from a Unix socket that has no name, and so cannot be answered.
func sendUnnamed(_ bytes: [UInt8], to address: SocketAddress) throws {
    let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    let socket = try DatagramSocket(adopting: descriptor)
    defer { socket.close() }
    guard case .unix(let place) = address, let path = place.path else { return }
    var target = sockaddr_un()
    target.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: path.utf8) }
    let count = withUnsafePointer(to: target) { target in
        target.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
            sendto(descriptor, bytes, bytes.count, 0, target, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    if count < 0 { throw NeverHappened(what: "a send from a socket without a name") }
}
