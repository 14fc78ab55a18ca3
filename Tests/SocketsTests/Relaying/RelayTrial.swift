import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What runs a relay: the loop that both of its sockets belong to, which moves the bytes itself, or tasks of the pool.
enum Runner: CaseIterable, Sendable {
    case loop, pool
}

/// A kind of stream on each side of a relay.
struct Sides: Sendable, CustomTestStringConvertible {
    let front: Kind
    let behind: Kind

    static let all = [Sides(.tcp4, .tcp4), Sides(.tcp4, .unix), Sides(.unix, .tcp4), Sides(.unix, .unix)]

    init(_ front: Kind, _ behind: Kind) {
        self.front = front
        self.behind = behind
    }

    var testDescription: String { "\(front)-\(behind)" }
}

/// A relay that runs, and the two peers that it joins: the near one is on the side of its first connection.
struct Relayed: Sendable {
    let near: Connection
    let far: Connection
    let relay: Relay
    let running: Task<Void, Never>

    init(
        _ sides: Sides, on loop: EventLoop, by runner: Runner = .loop, upTo size: Int = 65536,
        idleTimeout: Duration? = nil, isNarrow: Bool = false, onFinish: (@Sendable (Connection) -> Void)? = nil
    ) async throws {
        // Made on the loop, so that all of them belong to it.
        let making = Task(executorPreference: runner == .loop ? loop : nil) {
            let (near, first, front) = try await connectedPair(sides.front)
            front.close()
            let (second, far, behind) = try await connectedPair(sides.behind)
            behind.close()
            return [near, first, second, far]
        }
        let ends = try await making.value
        (near, far) = (ends[0], ends[3])
        if isNarrow {
            for end in ends {
                try end.setOption(.sendBuffer, to: 16384)
                try end.setOption(.receiveBuffer, to: 16384)
            }
        }
        let relay = Relay(ends[1], ends[2], upTo: size, idleTimeout: idleTimeout, onFinish: onFinish)
        self.relay = relay
        running = Task(executorPreference: runner == .loop ? loop : nil) { await relay.run() }
    }

    /// Waits until it has ended.
    func end() async throws { try await within(patience, "the relay's end") { await running.value } }

    func close() {
        running.cancel()
        near.close()
        far.close()
    }
}

/// A trial with a relay, which lives until the body has ended.
func relaying(
    _ sides: Sides, by runner: Runner = .loop, upTo size: Int = 65536, idleTimeout: Duration? = nil,
    isNarrow: Bool = false, onFinish: (@Sendable (Connection) -> Void)? = nil, _ limit: Duration = patience * 2,
    _ body: @escaping @Sendable (Ledger, Relayed) async throws -> Void
) async throws {
    try await trial(limit) { ledger in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let relayed = try await Relayed(
            sides, on: group.loops[0], by: runner, upTo: size, idleTimeout: idleTimeout, isNarrow: isNarrow,
            onFinish: onFinish)
        defer { relayed.close() }
        try await body(ledger, relayed)
    }
}

/// A stream whose byte at each place is known, so that one that is lost, doubled or moved is seen.
struct Tape: Sendable {
    /// No multiple of any buffer's size.
    private static let period = 1_048_583
    private static let longest = 1 << 18
    private let bytes: [UInt8]

    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var once: [UInt8] = []
        once.reserveCapacity(Self.period + Self.longest + 8)
        while once.count < Self.period { withUnsafeBytes(of: generator.next()) { once += $0 } }
        once.removeLast(once.count - Self.period)
        bytes = once + once[..<Self.longest]
    }

    /// Blocks the thread until a piece has been sent, with the bare system calls.
    func send(_ places: Range<Int>, by connection: Connection) throws {
        let fd = try connection.withDescriptor { $0 }
        var place = places.lowerBound
        while place < places.upperBound {
            try waitFor(POLLOUT, fd)
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    fd, $0.baseAddress?.advanced(by: place % Self.period), min(Self.longest, places.upperBound - place),
                    CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
            if count < 0, errno == EAGAIN { continue }
            guard count > 0 else { throw Errno(rawValue: errno) }
            place += count
        }
    }

    /// Blocks the thread until a piece has come, and compares it.
    func expect(_ places: Range<Int>, from connection: Connection) throws {
        let fd = try connection.withDescriptor { $0 }
        let got = try compare(places, fd)
        guard got == places.upperBound else { throw NeverHappened(what: "byte \(got) of \(places.upperBound)") }
    }

    /// All that comes until the end; gives how many bytes that are, and by which error it ended.
    func expectUntilEnd(from connection: Connection) throws -> (count: Int, error: Errno?) {
        let fd = try connection.withDescriptor { $0 }
        var count = 0
        do {
            _ = try compare(0..<1 << 40, fd) { count = $0 }
        } catch let error as Errno {
            return (count, error)
        }
        return (count, nil)
    }

    /// Up to which place bytes came before the end.
    private func compare(_ places: Range<Int>, _ fd: CInt, reached: (Int) -> Void = { _ in }) throws -> Int {
        var buffer = [UInt8](repeating: 0, count: min(Self.longest, places.count))
        var place = places.lowerBound
        while place < places.upperBound {
            try waitFor(POLLIN, fd)
            let count = recv(fd, &buffer, min(buffer.count, places.upperBound - place), CInt(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN { continue }
            guard count >= 0 else { throw Errno(rawValue: errno) }
            if count == 0 { return place }
            let isSame = bytes.withUnsafeBytes { tape in
                guard let start = tape.baseAddress else { return false }
                return memcmp(buffer, start.advanced(by: place % Self.period), count) == 0
            }
            guard isSame else { throw NeverHappened(what: "the right bytes from \(place) on") }
            place += count
            reached(place)
        }
        return place
    }
}

private func waitFor(_ event: CInt, _ fd: CInt) throws {
    var entry = pollfd(fd: fd, events: CShort(event), revents: 0)
    guard poll(&entry, 1, 120_000) == 1 else { throw NeverHappened(what: "room or bytes") }
}

extension Connection {
    /// Sends the tape from its start until nothing more goes for a while, and so many are enough; gives how many bytes went.
    /// Blocks the thread.
    func stuff(with tape: Tape, atMost most: Int = 1 << 28, isFull: (Int) -> Bool = { _ in true }) throws -> Int {
        let fd = try withDescriptor { $0 }
        var sent = 0
        while sent < most {
            var entry = pollfd(fd: fd, events: CShort(POLLOUT), revents: 0)
            guard poll(&entry, 1, 500) == 1 else {
                if isFull(sent) { break }
                continue
            }
            try tape.send(sent..<sent + 1024, by: self)
            sent += 1024
        }
        return sent
    }
}

/// All that a peer is sent until its connection is over, and why it is: nil for an end.
func rest(of peer: Connection) async -> (bytes: [UInt8], cause: SocketError.Cause?) {
    var bytes: [UInt8] = []
    do throws(SocketError) {
        while let more = try await peer.receive(upTo: 65536) { bytes += more }
        return (bytes, nil)
    } catch {
        return (bytes, error.cause)
    }
}
