internal import SocketCore

/// One message of a `DatagramSocket`: it comes whole or not at all, and may come twice, late or never.
public struct Datagram: Sendable, Hashable {
    /// What it carries; a datagram may be empty.
    public let bytes: [UInt8]
    /// Whose it is, and where an answer goes; `unnamed` for a Unix socket that was not bound.
    public let sender: SocketAddress
    /// Whether it was longer than what was asked for, and the rest is lost (`MSG_TRUNC` of `recv(2)`).
    public let isTruncated: Bool
    /// How it came, which is not a part of what it is: how many hops it had left, and to which of this machine's addresses.
    let passage: System.Passage

    /// A datagram as it would come.
    public init(bytes: [UInt8], sender: SocketAddress, isTruncated: Bool = false) {
        self.bytes = bytes
        self.sender = sender
        self.isTruncated = isTruncated
        passage = .usual
    }

    fileprivate init(bytes: ArraySlice<UInt8>, upTo count: Int, _ entry: DatagramsAhead.Entry) {
        self.bytes = Array(bytes.prefix(max(0, count)))
        sender = entry.sender
        isTruncated = entry.isTruncated || bytes.count > self.bytes.count
        passage = entry.passage
    }

    init(_ received: consuming System.ReceivedDatagram, upTo count: Int) {
        let all = received.bytes
        let kept = UnsafeRawBufferPointer(start: all.baseAddress, count: min(max(0, count), all.count))
        bytes = Array(kept)
        sender = received.sender
        isTruncated = received.isTruncated || kept.count < all.count
        passage = received.passage
    }

    /// How an answer leaves: from the address that this came to, and with one hop less than this had left; nil when that
    /// was its last.
    var answer: System.Passage? { passage.answer }

    /// Equal where bytes, sender and whether it was cut are.
    public static func == (a: Datagram, b: Datagram) -> Bool {
        a.bytes == b.bytes && a.sender == b.sender && a.isTruncated == b.isTruncated
    }

    /// Hashes what makes it equal to another.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
        hasher.combine(sender)
        hasher.combine(isTruncated)
    }
}

extension System.Passage {
    /// What an answer to something that came so is to leave by: two such servers that answer each other fall silent after
    /// at most 255 rounds, whoever made them talk (CVE-2024-2169). Nil when the last hop is used up.
    var answer: System.Passage? {
        guard hops >= 0 else { return self }
        // A question to a group has one hop, unless its asker says otherwise. It is no answer of another server's: those
        // go to one.
        guard hops > 1 || isToGroup else { return nil }
        var next = self
        next.hops = max(1, hops - 1)
        return next
    }
}

/// Datagrams that came together with one that was asked for: received by the same system call, and nobody's yet.
///
/// They lie one behind the other in one array, so that a burst costs no allocation for each.
struct DatagramsAhead {
    fileprivate struct Entry {
        let end: Int
        let sender: SocketAddress
        let isTruncated: Bool
        let passage: System.Passage
    }

    private var bytes: [UInt8] = []
    private var entries: ArraySlice<Entry> = []
    private var begin = 0

    /// More than this is not kept once it is empty: a socket that only waits holds nothing.
    private static let mostKept = 4096

    var isEmpty: Bool { entries.isEmpty }

    mutating func append(_ received: consuming System.ReceivedDatagram) {
        bytes.append(contentsOf: received.bytes)
        entries.append(
            Entry(
                end: bytes.count, sender: received.sender, isTruncated: received.isTruncated,
                passage: received.passage))
    }

    /// The first of them, cut to a number of bytes.
    mutating func take(upTo count: Int) -> Datagram? {
        guard let entry = entries.popFirst() else { return nil }
        let datagram = Datagram(bytes: bytes[begin..<entry.end], upTo: count, entry)
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
