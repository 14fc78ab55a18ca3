import SystemPackage
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a relay of datagrams joins.
struct DatagramPair: Sendable, CustomTestStringConvertible {
    enum Place: String, CaseIterable, Sendable {
        case udp
        case unix = "unix-dgram"
    }

    let front: Place
    let back: Place

    var testDescription: String { "\(front.rawValue) to \(back.rawValue)" }

    /// The longest datagram that both sides carry: what UDP can say of a length, or what a Unix socket's buffer holds beside
    /// the kernel's own notes, and no more than Pier takes of one.
    var largest: Int {
        guard front == .unix, back == .unix, let socket = try? DatagramPeer(boundToPath: temporaryPath("probe")) else {
            return 65_507
        }
        var (size, length) = (0 as CInt, socklen_t(MemoryLayout<CInt>.size))
        getsockopt(socket.descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length)
        return min(Int(size) - 32, 262_144)
    }

    /// What is told of a target that is not there.
    var wordForNobody: String { back == .udp ? "refused" : "unix-dgram" }

    static let all = Place.allCases.flatMap { front in Place.allCases.map { DatagramPair(front: front, back: $0) } }
}

/// Where datagrams go to behind a relay: a place that is known before anybody is there.
final class DatagramBehind: Sendable {
    let endpoint: String
    private let port: UInt16
    private let path: String
    private let descriptor: CInt

    init(_ place: DatagramPair.Place) throws {
        path = temporaryPath("behind")
        port = place == .udp ? try freeUDPPort() : 0
        endpoint = place == .udp ? "udp://127.0.0.1:\(port)" : "unix-dgram:\(path)"
        descriptor = try valid(
            socket(place == .udp ? AF_INET : AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    func open() throws {
        if port > 0 {
            _ = try withUDPAddress("127.0.0.1", port) { try valid(bind(descriptor, $0, $1)) }
        } else {
            _ = try withAddress(path) { try valid(bind(descriptor, $0, $1)) }
        }
    }

    /// One datagram, and whom to answer.
    struct Question: Sendable {
        let bytes: [UInt8]
        fileprivate let sender: [UInt8]
    }

    /// Waits for the next datagram.
    func receive() throws -> Question {
        var buffer = [UInt8](repeating: 0, count: 1 << 18 + 1)
        var sender = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_storage>.size)
        var length = socklen_t(sender.count)
        let count = sender.withUnsafeMutableBytes { sender in
            sender.withMemoryRebound(to: sockaddr.self) {
                recvfrom(descriptor, &buffer, buffer.count, 0, $0.baseAddress, &length)
            }
        }
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return Question(bytes: Array(buffer[..<count]), sender: Array(sender[..<Int(length)]))
    }

    func receiveText() throws -> String { String(decoding: try receive().bytes, as: UTF8.self) }

    func answer(_ question: Question, _ bytes: [UInt8]) throws {
        let count = question.sender.withUnsafeBytes { sender in
            sender.withMemoryRebound(to: sockaddr.self) {
                sendto(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0.baseAddress, socklen_t(sender.count))
            }
        }
        guard count == bytes.count else { throw Errno(rawValue: errno) }
    }

    /// Whether something came within some milliseconds.
    func hasNews(within milliseconds: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) == 1
    }
}

/// A `pier relay` between datagrams, while a test runs.
struct JoinedDatagrams: Sendable {
    let relay: Program
    let behind: DatagramBehind
    /// What the relay told.
    let place: String

    func sender() throws -> DatagramPeer {
        if place.hasPrefix("unix-dgram://") { return try DatagramPeer(path: String(place.dropFirst(13))) }
        return try DatagramPeer(port: UInt16(place.split(separator: ":").last ?? "") ?? 0)
    }

    /// Waits for the kernel to let nobody in any more.
    func ends(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        relay.send(SIGTERM)
        #expect(try await relay.end() == 0, "\(relay.errors.text)", sourceLocation: sourceLocation)
        if place.hasPrefix("unix-dgram://") {
            #expect(access(String(place.dropFirst(13)), F_OK) != 0, sourceLocation: sourceLocation)
        }
    }
}

/// Runs `pier relay` between the two of a pair while `body` runs.
func joining<R>(
    _ pair: DatagramPair, _ arguments: String..., isOpen: Bool = true, _ body: (JoinedDatagrams) async throws -> R
) async throws -> R {
    let behind = try DatagramBehind(pair.back)
    if isOpen { try behind.open() }
    let path = temporaryPath("front")
    defer { unlink(path) }
    let front = pair.front == .udp ? "udp://127.0.0.1:0" : "unix-dgram:\(path)"
    // A short wait at the end, since datagrams have none.
    return try await starting(
        [Place.pier, "relay", front, behind.endpoint, "--linger", "50ms"] + arguments, input: .file("/dev/null")
    ) { relay in
        let line = try await relay.errors.line(with: "listening")
        let place = line.firstMatch(of: /(udp|unix-dgram):\/\/[^" ]+/).map { String($0.0) }
        return try await body(JoinedDatagrams(relay: relay, behind: behind, place: place ?? ""))
    }
}
