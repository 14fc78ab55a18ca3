internal import SocketCore

/// The hops that a socket gives by itself to what it sends, by IPv4 and by IPv6: those of its first answer.
///
/// Most who ask have as many hops left, so most answers are to have as many too. What is to have the socket's own needs no
/// control message that says so. Only for a socket by which nobody else sends, and whose options nobody else changes: an
/// answer with more hops than its question had would keep two servers talking for ever.
struct AnswerHops {
    private var ipv4 = unset
    private var ipv6 = unset

    private static let unset: CInt = 0
    private static let cannotBeSet: CInt = -1

    /// Says nothing of an answer's hops where they are the socket's own: 63 ns of the 2.9 us that a send costs the kernel.
    mutating func lighten(_ passage: inout System.Passage, to address: SocketAddress, by socket: DatagramSocket) {
        // An IPv4 address that an IPv6 socket sees as a mapped one is shown as what it is, and sent to by IPv4.
        let isIPv6 = if case .ipv6 = address { true } else { false }
        if (isIPv6 ? ipv6 : ipv4) == Self.unset { set(passage.hops, isIPv6, socket) }
        if (isIPv6 ? ipv6 : ipv4) == passage.hops { passage.hops = -1 }
    }

    // Once for each family: out of the way of all that come later.
    @inline(never)
    private mutating func set(_ hops: CInt, _ isIPv6: Bool, _ socket: DatagramSocket) {
        let isSet = hops > 0 && (try? socket.setOption(isIPv6 ? .hops6 : .hops4, to: Int(hops))) != nil
        if isIPv6 { ipv6 = isSet ? hops : Self.cannotBeSet } else { ipv4 = isSet ? hops : Self.cannotBeSet }
    }
}
