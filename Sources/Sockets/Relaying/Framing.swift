internal import SocketCore

/// How datagrams stand in a stream of bytes, which has no borders of its own.
///
/// What a framing cannot carry is refused rather than changed: who gets it would not know.
public enum Framing: String, Sendable, Hashable, CaseIterable {
    /// A datagram is a line, ended by LF; CR LF is read as well. One that holds a line's end itself is none.
    case lines
    /// Before each datagram its length in two bytes, the higher one first, as DNS over TCP has it (RFC 1035, 4.2.2).
    case length
    /// No borders: what one receive gives is a datagram, and each datagram is sent as it is. An empty one is nothing.
    case none

    /// The most that a framed datagram holds, in bytes: what UDP over IPv4 carries. A `length` may announce up to 65 535.
    public static let longest = DatagramSocket.largestUDP

    private static let lf = UInt8(ascii: "\n")
    private static let cr = UInt8(ascii: "\r")

    /// Puts a datagram behind what is to be sent already; why not, where this framing cannot carry it.
    func append(_ datagram: [UInt8], to bytes: inout [UInt8]) -> SocketError.Cause? {
        switch self {
        case .lines:
            // One that ends with CR would lose it, as a part of its line's end.
            if datagram.last == Self.cr || datagram.contains(Self.lf) {
                return .misuse("a datagram with a line's end in it is no line")
            }
            bytes += datagram
            bytes.append(Self.lf)
        case .length:
            guard let length = UInt16(exactly: datagram.count) else { return .system(.messageTooLong) }
            bytes.append(UInt8(length >> 8))
            bytes.append(UInt8(length & 0xff))
            bytes += datagram
        case .none:
            if datagram.isEmpty { return .misuse("an empty datagram is nothing in a stream without framing") }
            bytes += datagram
        }
        return nil
    }
}

/// A stream from which no further datagram can come.
struct WrongFraming: Error {
    let cause: SocketError.Cause
}

/// Finds the datagrams in a stream, whatever pieces it comes in. It holds what has come and is no whole datagram yet, and
/// does not look at a byte twice.
struct Deframer {
    private let framing: Framing
    private var held: [UInt8] = []
    /// Where in it the next datagram begins.
    private var start = 0
    /// Up to where no line's end was found; never before `start`.
    private var searched = 0

    init(_ framing: Framing) { self.framing = framing }

    /// Adds what has just come.
    mutating func append(_ bytes: [UInt8]) {
        guard !held.isEmpty else {
            held = bytes
            return
        }
        held.removeFirst(start)
        searched -= start
        start = 0
        held += bytes
    }

    /// The next datagram; nil when more has to come first. Throws when none can: a line is too long.
    mutating func next() throws(WrongFraming) -> [UInt8]? {
        let left = held[start...]
        switch framing {
        case .lines:
            let end = held[searched...].firstIndex(of: UInt8(ascii: "\n"))
            var line = held[start..<(end ?? held.endIndex)]
            if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
            if line.count > Framing.longest { throw WrongFraming(cause: .lineTooLong(limit: Framing.longest)) }
            guard let end else {
                searched = held.endIndex
                return nil
            }
            return take(Array(line), end + 1)
        case .length:
            guard let high = left.first, let low = left.dropFirst().first else { return nil }
            let length = Int(high) << 8 | Int(low)
            guard left.count - 2 >= length else { return nil }
            return take(Array(left.dropFirst(2).prefix(length)), start + 2 + length)
        case .none:
            return left.isEmpty
                ? nil : take(Array(left.prefix(Framing.longest)), min(held.count, start + Framing.longest))
        }
    }

    /// What is left when the stream has ended: a last line may lack its end. Throws when it is a part of a datagram.
    mutating func finish() throws(WrongFraming) -> [UInt8]? {
        let left = Array(held[start...])
        clear()
        if left.isEmpty { return nil }
        guard framing == .lines else { throw WrongFraming(cause: .ended(received: left.count)) }
        return left.last == UInt8(ascii: "\r") ? left.dropLast() : left
    }

    private mutating func take(_ datagram: [UInt8], _ end: Int) -> [UInt8] {
        start = end
        searched = end
        if start == held.count { clear() }
        return datagram
    }

    private mutating func clear() {
        held = []
        start = 0
        searched = 0
    }
}
