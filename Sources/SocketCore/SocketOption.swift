#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif
public import SystemPackage

/// An option of a socket with the type of its value, for `setsockopt(2)` and `getsockopt(2)`.
public struct SocketOption<Value: Sendable>: Sendable {
    let level: CInt
    let name: CInt
    let encode: @Sendable (Value) -> CInt
    let decode: @Sendable (CInt) -> Value
}

extension SocketOption where Value == Bool {
    private init(_ level: CInt, _ name: CInt) {
        self.init(level: level, name: name, encode: { $0 ? 1 : 0 }, decode: { $0 != 0 })
    }

    /// Whether the kernel probes a silent peer (`SO_KEEPALIVE`).
    public static var keepAlive: Self { .init(SOL_SOCKET, SO_KEEPALIVE) }
    /// Whether an address in TIME_WAIT may be bound again (`SO_REUSEADDR`); on for listeners.
    public static var reuseAddress: Self { .init(SOL_SOCKET, SO_REUSEADDR) }
    /// Whether several sockets may share an address, each getting some of the clients (`SO_REUSEPORT`).
    public static var reusePort: Self { .init(SOL_SOCKET, SO_REUSEPORT) }
    /// Whether small messages go out at once instead of being gathered (`TCP_NODELAY`); on for connections.
    public static var noDelay: Self { .init(CInt(IPPROTO_TCP), TCP_NODELAY) }
    /// Whether an IPv6 socket refuses IPv4 peers (`IPV6_V6ONLY`).
    public static var onlyIPv6: Self { .init(CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    public static var broadcast: Self { .init(SOL_SOCKET, SO_BROADCAST) }
    package static var multicastLoop4: Self { .init(CInt(IPPROTO_IP), IP_MULTICAST_LOOP) }
    package static var multicastLoop6: Self { .init(CInt(IPPROTO_IPV6), IPV6_MULTICAST_LOOP) }
    /// Whether each datagram says how many were dropped before it for want of room (`SO_RXQ_OVFL`); on for UDP.
    package static var tellsOverflow: Self { .init(SOL_SOCKET, SO_RXQ_OVFL) }
    /// Whether `bind(2)` to port 0 leaves the choice of a port to `connect(2)`, which can give one port to connections with
    /// different peers (`IP_BIND_ADDRESS_NO_PORT`). For sockets of both families.
    package static var bindsWithoutPort: Self { .init(CInt(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT) }
    /// Whether urgent bytes stay in their place in the stream (`SO_OOBINLINE`).
    public static var urgentInline: Self { .init(SOL_SOCKET, SO_OOBINLINE) }
}

extension SocketOption where Value == Int {
    private init(_ level: CInt, _ name: CInt) {
        self.init(level: level, name: name, encode: { CInt(clamping: $0) }, decode: { Int($0) })
    }

    /// The size of the kernel's send buffer in bytes; the kernel doubles what is set (`SO_SNDBUF`).
    public static var sendBuffer: Self { .init(SOL_SOCKET, SO_SNDBUF) }
    /// The size of the kernel's receive buffer in bytes; the kernel doubles what is set (`SO_RCVBUF`).
    public static var receiveBuffer: Self { .init(SOL_SOCKET, SO_RCVBUF) }
    package static var hops4: Self { .init(CInt(IPPROTO_IP), IP_TTL) }
    package static var hops6: Self { .init(CInt(IPPROTO_IPV6), IPV6_UNICAST_HOPS) }
    package static var multicastHops4: Self { .init(CInt(IPPROTO_IP), IP_MULTICAST_TTL) }
    package static var multicastHops6: Self { .init(CInt(IPPROTO_IPV6), IPV6_MULTICAST_HOPS) }
    package static var multicastInterface6: Self { .init(CInt(IPPROTO_IPV6), IPV6_MULTICAST_IF) }
    /// Seconds of silence before the first keep-alive probe (`TCP_KEEPIDLE`).
    public static var keepAliveIdle: Self { .init(CInt(IPPROTO_TCP), TCP_KEEPIDLE) }
    /// Seconds between two keep-alive probes that are not answered (`TCP_KEEPINTVL`).
    public static var keepAliveInterval: Self { .init(CInt(IPPROTO_TCP), TCP_KEEPINTVL) }
    /// How many keep-alive probes go unanswered before the connection is given up (`TCP_KEEPCNT`).
    public static var keepAliveCount: Self { .init(CInt(IPPROTO_TCP), TCP_KEEPCNT) }
    /// Milliseconds that sent bytes may stay unacknowledged before the connection is given up; 0 is as long as the
    /// system tries again, some fifteen minutes. It also ends a connection to a peer that lives and does not read
    /// (`TCP_USER_TIMEOUT`).
    public static var userTimeout: Self { .init(CInt(IPPROTO_TCP), TCP_USER_TIMEOUT) }
}

extension SocketOption where Value == Errno? {
    /// The error that waits to be told, taken away by asking (`SO_ERROR`). It cannot be set.
    public static var pendingError: Self {
        .init(
            level: SOL_SOCKET, name: SO_ERROR, encode: { $0?.rawValue ?? 0 },
            decode: { $0 == 0 ? nil : Errno(rawValue: $0) })
    }
}

extension System {
    package static func get<Value>(_ option: SocketOption<Value>, of descriptor: CInt) throws(Errno) -> Value {
        var value: CInt = 0
        _ = try withUnsafeMutableBytes(of: &value) { (bytes) throws(Errno) in
            try getOption(descriptor, option.level, option.name, bytes)
        }
        return option.decode(value)
    }

    package static func set<Value>(
        _ option: SocketOption<Value>, to value: Value, of descriptor: CInt
    ) throws(Errno) {
        var number = option.encode(value)
        try withUnsafeBytes(of: &number) { (bytes) throws(Errno) in
            try setOption(descriptor, option.level, option.name, bytes)
        }
    }
}
