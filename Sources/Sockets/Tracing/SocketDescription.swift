public import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a socket is, read from the kernel at one moment, as Python's `repr` of a socket shows it.
public struct SocketDescription: Sendable, Hashable, CustomStringConvertible {
    /// The number of the descriptor.
    public let descriptor: CInt
    /// `AF_INET`, `AF_INET6` or `AF_UNIX` (`SO_DOMAIN`).
    public let family: String
    /// `SOCK_STREAM` or `SOCK_DGRAM` (`SO_TYPE`).
    public let type: String
    /// `IPPROTO_TCP`, `IPPROTO_UDP` or 0 (`SO_PROTOCOL`).
    public let proto: String
    /// Its own address, once it has one (`getsockname(2)`).
    public let local: SocketAddress?
    /// Its peer's address, once it has one (`getpeername(2)`).
    public let remote: SocketAddress?

    init(of descriptor: CInt) {
        self.descriptor = descriptor
        family = Self.name(
            of: Self.number(descriptor, SO_DOMAIN), [AF_INET: "AF_INET", AF_INET6: "AF_INET6", AF_UNIX: "AF_UNIX"])
        type = Self.name(
            of: Self.number(descriptor, SO_TYPE),
            [System.kindStream: "SOCK_STREAM", System.kindDatagram: "SOCK_DGRAM"])
        proto = Self.name(
            of: Self.number(descriptor, SO_PROTOCOL),
            [CInt(IPPROTO_TCP): "IPPROTO_TCP", CInt(IPPROTO_UDP): "IPPROTO_UDP"])
        local = try? System.localAddress(descriptor)
        remote = try? System.remoteAddress(descriptor)
    }

    private static func number(_ descriptor: CInt, _ option: CInt) -> CInt {
        var value: CInt = -1
        _ = withUnsafeMutableBytes(of: &value) { try? System.getOption(descriptor, SOL_SOCKET, option, $0) }
        return value
    }

    private static func name(of number: CInt, _ names: [CInt: String]) -> String {
        names[number] ?? String(number)
    }

    /// `<socket fd=3, family=AF_INET, type=SOCK_STREAM, proto=IPPROTO_TCP, local=127.0.0.5:8520>`
    public var description: String {
        var text = "<socket fd=\(descriptor), family=\(family), type=\(type), proto=\(proto)"
        if let local { text += ", local=\(local)" }
        if let remote { text += ", remote=\(remote)" }
        return text + ">"
    }
}
