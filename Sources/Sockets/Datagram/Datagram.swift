internal import SocketCore

/// One message of a `DatagramSocket`: it comes whole or not at all, and may come twice, late or never.
public struct Datagram: Sendable, Hashable {
    /// What it carries; a datagram may be empty.
    public let bytes: [UInt8]
    /// Whose it is, and where an answer goes; `unnamed` for a Unix socket that was not bound.
    public let sender: SocketAddress
    /// Whether it was longer than what was asked for, and the rest is lost (`MSG_TRUNC` of `recv(2)`).
    public let isTruncated: Bool

    /// A datagram as it would come.
    public init(bytes: [UInt8], sender: SocketAddress, isTruncated: Bool = false) {
        self.bytes = bytes
        self.sender = sender
        self.isTruncated = isTruncated
    }

    init(_ received: borrowing System.ReceivedDatagram, upTo count: Int) {
        let all = received.bytes
        bytes = Array(all.prefix(max(0, count)))
        sender = received.sender
        isTruncated = received.isTruncated || all.count > bytes.count
    }
}

/// Datagrams that came together with one that was asked for: received by the same system call, and nobody's yet.
///
/// They lie one behind the other in one array, so that a burst costs no allocation for each.
struct DatagramsAhead {
    private struct Entry {
        let end: Int
        let sender: SocketAddress
        let isTruncated: Bool
    }

    private var bytes: [UInt8] = []
    private var entries: ArraySlice<Entry> = []
    private var begin = 0

    /// More than this is not kept once it is empty: a socket that only waits holds nothing.
    private static let mostKept = 4096

    var isEmpty: Bool { entries.isEmpty }

    mutating func append(_ received: borrowing System.ReceivedDatagram) {
        bytes.append(contentsOf: received.bytes)
        entries.append(Entry(end: bytes.count, sender: received.sender, isTruncated: received.isTruncated))
    }

    /// The first of them, cut to a number of bytes.
    mutating func take(upTo count: Int) -> Datagram? {
        guard let entry = entries.popFirst() else { return nil }
        let all = bytes[begin..<entry.end]
        let datagram = Datagram(
            bytes: Array(all.prefix(max(0, count))), sender: entry.sender,
            isTruncated: entry.isTruncated || all.count > max(0, count))
        begin = entry.end
        if entries.isEmpty { clear() }
        return datagram
    }

    private mutating func clear() {
        begin = 0
        entries = []
        if bytes.capacity > Self.mostKept { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
    }
}
