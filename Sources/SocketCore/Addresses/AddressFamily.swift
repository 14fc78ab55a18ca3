/// One of the two families of IP addresses: what a caller can keep to when an endpoint has both.
public enum AddressFamily: String, Hashable, Sendable, CaseIterable {
    /// `AF_INET` (`ip(7)`).
    case ipv4
    /// `AF_INET6` (`ipv6(7)`).
    case ipv6

    /// The other one.
    package var other: AddressFamily { self == .ipv4 ? .ipv6 : .ipv4 }
}

extension AddressFamily: CustomStringConvertible {
    /// `IPv4` or `IPv6`.
    public var description: String { self == .ipv4 ? "IPv4" : "IPv6" }
}

extension SocketAddress {
    /// The family of an IP address; nil for a Unix one.
    public var ipFamily: AddressFamily? {
        switch self {
        case .ipv4: .ipv4
        case .ipv6: .ipv6
        case .unix: nil
        }
    }
}
