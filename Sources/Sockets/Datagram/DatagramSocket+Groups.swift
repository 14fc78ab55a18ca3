internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// One datagram to many: multicast (RFC 1112, RFC 4291). For broadcast there is `SocketOption.broadcast`.

extension DatagramSocket {
    /// Joins a multicast group: its datagrams, sent to the port that this socket is bound to, come from now on.
    ///
    /// `interface` is the number of one of this machine's, such as `if_nametoindex(3)` gives, or 0 for the one that the system
    /// would send by. Never waits. Throws `.system` for an address that is no group, or is joined already. Corresponds to
    /// `MCAST_JOIN_GROUP` of `ip(7)`.
    public func join(group: SocketAddress, interface: UInt32 = 0) throws(SocketError) {
        try ask { (fd) throws(Errno) in try System.joinGroup(fd, group, interface: interface, joins: true) }
    }

    /// Leaves a multicast group; throws as joining it does. Never waits. Closing leaves all groups.
    public func leave(group: SocketAddress, interface: UInt32 = 0) throws(SocketError) {
        try ask { (fd) throws(Errno) in try System.joinGroup(fd, group, interface: interface, joins: false) }
    }

    /// Sets what is not nil of how datagrams go to groups: over how many hops (1, this network, unless it is set), whether
    /// they come back to this machine's own members (yes, unless it is set), and by which interface they leave.
    ///
    /// Never waits. Throws `.system` for a value that is refused. Corresponds to `IP_MULTICAST_TTL`, `IP_MULTICAST_LOOP` and
    /// `IP_MULTICAST_IF`, or `IPV6_MULTICAST_HOPS` and its like.
    public func setMulticast(
        hops: UInt8? = nil, comesBack: Bool? = nil, interface: UInt32? = nil
    ) throws(SocketError) {
        let isIPv6 = boundAddress.family == AF_INET6
        try ask { (fd) throws(Errno) in
            if let hops { try System.set(isIPv6 ? .multicastHops6 : .multicastHops4, to: Int(hops), of: fd) }
            if let comesBack {
                try System.set(isIPv6 ? .multicastLoop6 : .multicastLoop4, to: comesBack, of: fd)
            }
            if let interface {
                if isIPv6 {
                    try System.set(.multicastInterface6, to: Int(interface), of: fd)
                } else {
                    try System.setMulticastInterface(fd, interface)
                }
            }
        }
    }
}
