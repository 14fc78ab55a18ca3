internal import CSockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif
package import SystemPackage

// Datagrams, several in one system call.

extension System {
    /// The most datagrams that one call moves.
    package static let mostDatagrams = Int(CSOCKETS_BATCH)

    /// Receives up to `most` datagrams of up to `room` bytes each, and hands each to `take` (`recvmmsg(2)`).
    ///
    /// One that is larger than the room is cut, and says so. What `take` is given is valid only while it runs. With
    /// `takesControl` the kernel tells what comes beside the bytes; a Unix peer could then send descriptors too.
    package static func receiveDatagrams(
        _ descriptor: CInt, atMost most: Int, room: Int, takesControl: Bool,
        _ take: (consuming ReceivedDatagram) -> Void
    ) throws(Errno) -> Attempt<ReceivedBatch> {
        // No more than there are bytes for: a call that gave all it could must not look as if no more had come.
        let most = min(most, mostDatagrams, max(1, Int(CSOCKETS_BATCH_BYTES) / max(room, 1)))
        var limit = most
        let attempt = try transfer(.receiveDatagrams, descriptor, .receive, count: most) {
            limit = $0
            return Int(csockets_receive_datagrams(descriptor, CInt(clamping: $0), max(room, 1), takesControl ? 1 : 0))
        }
        guard case .done(let count) = attempt else { return .wait(.receive) }
        var (raw, overflows) = (csockets_datagram(), UInt32?.none)
        for index in 0..<count {
            csockets_received_datagram(CInt(clamping: index), &raw)
            if raw.overflows >= 0 { overflows = UInt32(truncatingIfNeeded: raw.overflows) }
            take(ReceivedDatagram(raw))
        }
        return .done(ReceivedBatch(count: count, isAll: count < limit, overflows: overflows))
    }

    /// What one call has received.
    package struct ReceivedBatch {
        package let count: Int
        /// Whether the call stopped because no more had come: fewer came than there was room for.
        package let isAll: Bool
        /// How many the kernel had dropped so far because the socket's queue was full, where it tells (SO_RXQ_OVFL).
        package let overflows: UInt32?
    }

    /// One datagram where the kernel has put it.
    package struct ReceivedDatagram: ~Copyable {
        package let bytes: UnsafeRawBufferPointer
        package let isTruncated: Bool
        /// Whose it is; a Unix sender without a name is `unnamed`.
        package let sender: SocketAddress
        package let passage: Passage

        init(_ raw: csockets_datagram) {
            bytes = UnsafeRawBufferPointer(start: raw.bytes, count: raw.length)
            isTruncated = raw.is_truncated != 0
            sender =
                SocketAddress(kernel: UnsafeRawBufferPointer(start: raw.peer, count: Int(raw.peer_length))) ?? .unnamed
            passage = Passage(
                hops: raw.hops, isToGroup: raw.is_to_group != 0, localFamily: raw.local_family, local: raw.local,
                interface: raw.local_interface)
        }
    }

    /// How a datagram came here, or is to leave: what the kernel tells and takes beside its bytes.
    package struct Passage: Sendable {
        /// How many hops it has left, or -1 for what the kernel does by itself (IP_TTL, IPV6_HOPLIMIT).
        package var hops: CInt
        /// Whether it was sent to a multicast group, as far as the socket tells.
        package let isToGroup: Bool
        /// This machine's address that it came to: an answer from another would be a stranger's (IP_PKTINFO).
        fileprivate let localFamily: CInt
        /// Its bytes as the kernel has them, in two words: sixteen of a byte each would be copied one by one.
        fileprivate let local: (UInt64, UInt64)
        /// By which interface that is reached, for an IPv6 address of one link, or else 0.
        fileprivate let interface: UInt32

        fileprivate init(
            hops: CInt, isToGroup: Bool, localFamily: CInt, local: (UInt64, UInt64), interface: UInt32
        ) {
            self.hops = hops
            self.isToGroup = isToGroup
            self.localFamily = localFamily
            self.local = local
            self.interface = interface
        }

        /// Whether this is the address that it came to.
        package func cameTo(_ address: SocketAddress) -> Bool {
            switch address {
            case .ipv4(let four, _):
                let bytes = localFamily == AF_INET ? localBytes.prefix(4) : localBytes.suffix(4)
                let mapped =
                    localFamily == AF_INET6 && localBytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
                return (localFamily == AF_INET || mapped) && bytes.reduce(0) { $0 << 8 | UInt32($1) } == four.value
            case .ipv6(let six, _, _):
                return localFamily == AF_INET6
                    && localBytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } == six.high
                    && localBytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } == six.low
            case .unix:
                return false
            }
        }

        private var localBytes: [UInt8] { withUnsafeBytes(of: local) { Array($0) } }

        /// As the kernel does by itself.
        package static let usual = Passage(
            hops: -1, isToGroup: false, localFamily: 0, local: (0, 0), interface: 0)
    }

    /// Datagrams that are to be sent together, written down as the kernel takes them; at most `mostDatagrams`.
    package struct DatagramBatch: ~Copyable {
        private let raw: OpaquePointer

        package init() throws(Errno) {
            guard let raw = csockets_make_batch() else { throw .noMemory }
            self.raw = raw
        }

        deinit { csockets_free_batch(raw) }

        /// Writes a datagram down at a place. Its bytes must stay where they are until it has been sent.
        package borrowing func put(
            _ bytes: UnsafeRawBufferPointer, to address: SocketAddress, by passage: Passage, at index: Int
        ) throws(Errno) {
            try System.put(bytes, to: address, by: passage, into: raw, at: index)
        }

        /// To whom the datagram at a place is to be sent.
        package borrowing func address(at index: Int) -> SocketAddress {
            var length: socklen_t = 0
            let peer = csockets_peer(raw, CInt(clamping: index), &length)
            return SocketAddress(kernel: UnsafeRawBufferPointer(start: peer, count: Int(length))) ?? .unnamed
        }

        /// Sends those from `first` on, up to `count` of them; how many went (`sendmmsg(2)`).
        ///
        /// A datagram goes whole or not at all. An error is the first one's; those before a later one that fails have gone.
        package borrowing func send(
            _ descriptor: CInt, from first: Int, count: Int
        ) throws(Errno) -> Attempt<Int> {
            try System.sendDatagrams(descriptor, of: raw, from: first, count: count)
        }
    }

    /// Sends one datagram; without an address, to the peer of a connected socket (`sendmmsg(2)`).
    package static func sendDatagram(
        _ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress?, by passage: Passage = .usual
    ) throws(Errno) -> Attempt<Int> {
        guard let batch = csockets_thread_batch() else { throw .noMemory }
        try put(bytes, to: address, by: passage, into: batch, at: 0)
        return try sendDatagrams(descriptor, of: batch, from: 0, count: 1)
    }

    /// Sends several datagrams to the peer of a connected socket, up to `mostDatagrams` of them; how many went
    /// (`sendmmsg(2)`). An error is the first one's.
    package static func sendDatagrams(
        _ descriptor: CInt, _ datagrams: ArraySlice<[UInt8]>
    ) throws(Errno) -> Attempt<Int> {
        guard let batch = csockets_thread_batch() else { throw .noMemory }
        let count = min(datagrams.count, mostDatagrams)
        for (index, datagram) in datagrams.prefix(count).enumerated() {
            // Safety: an array's storage stays where it is for as long as the array, which is the caller's, is not changed.
            let bytes = datagram.span.bytes.withUnsafeBytes { $0 }
            try put(bytes, to: nil, by: .usual, into: batch, at: index)
        }
        return try sendDatagrams(descriptor, of: batch, from: 0, count: count)
    }

    private static func put(
        _ bytes: UnsafeRawBufferPointer, to address: SocketAddress?, by passage: Passage, into batch: OpaquePointer,
        at index: Int
    ) throws(Errno) {
        let number = CInt(clamping: index)
        var room = 0
        guard let peer = csockets_peer_place(batch, number, &room) else { throw .invalidArgument }
        // Where the kernel will read it: there is no copy of it to be made.
        let length = address.map { $0.write(into: UnsafeMutableRawBufferPointer(start: peer, count: room)) }
        var entry = csockets_datagram(
            bytes: bytes.baseAddress, length: bytes.count,
            peer: length == nil ? nil : UnsafePointer(peer.assumingMemoryBound(to: sockaddr.self)),
            peer_length: socklen_t(length ?? 0), is_truncated: 0, hops: passage.hops,
            local_family: passage.localFamily, local: passage.local, local_interface: passage.interface,
            is_to_group: 0, overflows: -1)
        if csockets_put_datagram(batch, number, &entry) < 0 { throw Errno(rawValue: errno) }
    }

    private static func sendDatagrams(
        _ descriptor: CInt, of batch: OpaquePointer, from first: Int, count: Int
    ) throws(Errno) -> Attempt<Int> {
        try transfer(.sendDatagrams, descriptor, .send, count: count) { most in
            Int(csockets_send_datagrams(batch, descriptor, CInt(clamping: first), CInt(clamping: most)))
        }
    }

    /// Has a socket tell with each datagram which of this machine's addresses it came to.
    package static func tellDestination(_ descriptor: CInt, family: CInt) throws(Errno) {
        _ = try result(.setsockopt, descriptor) { csockets_tell_destination(descriptor, family) }
    }

    /// Has a socket tell with each datagram how many hops it had left.
    package static func tellHops(_ descriptor: CInt, family: CInt) throws(Errno) {
        _ = try result(.setsockopt, descriptor) { csockets_tell_hops(descriptor, family) }
    }

    /// Joins or leaves a multicast group.
    package static func joinGroup(
        _ descriptor: CInt, _ group: SocketAddress, interface: UInt32, joins: Bool
    ) throws(Errno) {
        _ = try result(.setsockopt, descriptor) {
            group.withSockAddr { csockets_join_group(descriptor, joins ? 1 : 0, $0, $1, interface) }
        }
    }

    /// By which interface IPv4 datagrams to groups leave; 0 is the system's choice.
    package static func setMulticastInterface(_ descriptor: CInt, _ interface: UInt32) throws(Errno) {
        var request = ip_mreqn()
        request.imr_ifindex = CInt(clamping: interface)
        try withUnsafeBytes(of: &request) { (bytes) throws(Errno) in
            try setOption(descriptor, CInt(IPPROTO_IP), IP_MULTICAST_IF, bytes)
        }
    }
}
