internal import Loops
public import SocketCore
internal import CSockets
internal import Synchronization
internal import SystemPackage

// Each verb's attempt is written once, at the end; the two faces above it differ in how they wait.
//
// Room for zero bytes never comes to an attempt. It would wait if the socket is known to be empty, and its zero bytes would
// read as the end of the stream. `receive(upTo: 0)` is refused, because a loop of it never ends; `receive(exactly: 0)` gives
// zero bytes at once, because a frame may be empty.

extension Connection {
    /// The most that one `receive(upTo:)` gives, whatever it is asked for: 1 MiB.
    public static let largestReceive = 1 << 20

    // MARK: In a task

    /// Receives what has come, up to a number of bytes; nil when the peer has finished sending.
    ///
    /// Waits until at least one byte has come, the peer finishes, or the connection is closed, cancelled or out of time.
    /// Throws `SocketError`; `.misuse` for a count below 1. Corresponds to `recv(2)`.
    public func receive(upTo count: Int) async throws(SocketError) -> [UInt8]? {
        guard count > 0 else { throw noRoom(count) }
        return try await perform(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, upTo: count)
        }
    }

    /// Receives exactly a number of bytes; nil when the peer has finished before the first of them.
    ///
    /// Waits until all have come; zero bytes are there at once. Throws `.misuse` for a count below zero, and `.ended` when
    /// the peer finishes in between; then, as after a timeout or a cancellation, what has come stays and is what the next
    /// receive gets. Corresponds to `recv(2)`, as often as it takes.
    public func receive(exactly count: Int) async throws(SocketError) -> [UInt8]? {
        guard count > 0 else { return try nothing(count) }
        var gathered: [UInt8] = []
        let isWhole = try await perform(
            .receive, .receive, undo: { _ in unread.putBack(gathered[...]) }, outcome: { _ in .came(gathered.count) }
        ) { (fd) throws(Errno) in
            try attemptGather(fd, count, &gathered)
        }
        if isWhole { return gathered }
        if gathered.isEmpty { return nil }
        throw error(.receive, .ended(received: gathered.count))
    }

    /// Receives into the free part of a caller's buffer, without allocating; gives the number of bytes, 0 when the peer
    /// has finished sending.
    ///
    /// Waits and throws as `receive(upTo:)` does; `.misuse` for a buffer without room. Corresponds to `recv(2)`.
    public func receive(into buffer: inout OutputRawSpan) async throws(SocketError) -> Int {
        let free = freePart(of: &buffer)
        guard !free.isEmpty else { throw noRoom(free.count) }
        let count = try await perform(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, into: free)
        }
        commit(count, to: &buffer)
        return count
    }

    // MARK: In a thread

    /// Receives what has come, up to a number of bytes; nil when the peer has finished sending.
    ///
    /// Blocks the thread until at least one byte has come, the peer finishes, or the connection is closed or out of time.
    /// Throws `SocketError`; `.misuse` for a count below 1. Corresponds to `recv(2)`.
    @available(*, noasync)
    public func receive(upTo count: Int) throws(SocketError) -> [UInt8]? {
        guard count > 0 else { throw noRoom(count) }
        return try performBlocking(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, upTo: count)
        }
    }

    /// Receives exactly a number of bytes; nil when the peer has finished before the first of them.
    ///
    /// Blocks the thread until all have come. Throws as the form with `await` does. Corresponds to `recv(2)`.
    @available(*, noasync)
    public func receive(exactly count: Int) throws(SocketError) -> [UInt8]? {
        guard count > 0 else { return try nothing(count) }
        var gathered: [UInt8] = []
        let isWhole = try performBlocking(
            .receive, .receive, undo: { _ in unread.putBack(gathered[...]) }, outcome: { _ in .came(gathered.count) }
        ) { (fd) throws(Errno) in
            try attemptGather(fd, count, &gathered)
        }
        if isWhole { return gathered }
        if gathered.isEmpty { return nil }
        throw error(.receive, .ended(received: gathered.count))
    }

    /// Receives into the free part of a caller's buffer, without allocating; gives the number of bytes, 0 when the peer
    /// has finished sending.
    ///
    /// Blocks the thread and throws as `receive(upTo:)` does; `.misuse` for a buffer without room. Corresponds to `recv(2)`.
    @available(*, noasync)
    public func receive(into buffer: inout OutputRawSpan) throws(SocketError) -> Int {
        let free = freePart(of: &buffer)
        guard !free.isEmpty else { throw noRoom(free.count) }
        let count = try performBlocking(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, into: free)
        }
        commit(count, to: &buffer)
        return count
    }
}

// MARK: - The attempts

extension Connection {
    @inline(never)
    private func noRoom(_ count: Int) -> SocketError { error(.receive, .tooSmall("the number of bytes", count)) }

    @inline(never)
    private func nothing(_ count: Int) throws(SocketError) -> [UInt8] {
        if count == 0 { return [] }
        throw error(.receive, .tooSmall("the number of bytes", count, least: 0))
    }

    private static func outcome(_ bytes: [UInt8]?) -> Trace.Outcome { bytes.map { .came($0.count) } ?? .finished }
    private static func outcome(_ count: Int) -> Trace.Outcome { count > 0 ? .came(count) : .finished }

    /// One recv(2), or what is left of earlier ones, unless those are to be passed over. Zero is the end of the stream.
    func attemptReceive(
        _ fd: CInt, into buffer: UnsafeMutableRawBufferPointer, pastUnread: Bool = false
    ) throws(Errno) -> Attempt<Int> {
        guard unread.isEmpty || pastUnread else {
            let taken = unread.take(upTo: buffer.count)
            buffer.copyBytes(from: taken)
            return .done(taken.count)
        }
        let result = try System.receive(fd, into: buffer)
        if case .done(let count) = result {
            waitable.isDrained = count > 0 && count < buffer.count
            if count == 0 {
                if let breakage = breakageAtEnd(fd) { throw breakage }
                peerHasFinished.store(!hasStopped.load(ordering: .acquiring), ordering: .releasing)
            }
        }
        return result
    }

    /// Why what looks like the end is none: what a send was told, or is being told by now.
    private func breakageAtEnd(_ fd: CInt) -> Errno? {
        if waitable.isTurnTaken(.send), let info = try? System.tcpInfo(fd), info.is_closed != 0 {
            // A thread that has been told is about to say so.
            for _ in 0..<100 where breakage.load(ordering: .acquiring) == 0 && waitable.isTurnTaken(.send) {
                System.letOthersRun()
            }
            if breakage.load(ordering: .acquiring) == 0 { return .connectionReset }
        }
        let code = breakage.load(ordering: .acquiring)
        return code == 0 ? nil : Errno(rawValue: code)
    }

    func attemptReceive(
        _ fd: CInt, upTo count: Int, pastUnread: Bool = false
    ) throws(Errno) -> Attempt<[UInt8]?> {
        let most = min(count, Self.largestReceive)
        if !receivesMuch, let scratch = EventLoop.scratch {
            // A message is as large as what came, and mostly that is little.
            let buffer = UnsafeMutableRawBufferPointer(start: scratch.baseAddress, count: min(most, scratch.count))
            switch try attemptReceive(fd, into: buffer, pastUnread: pastUnread) {
            case .wait(let direction): return .wait(direction)
            case .done(0): return .done(nil)
            case .done(let received):
                receivesMuch = received > scratch.count / 2
                return .done(
                    Array(UnsafeRawBufferPointer(start: buffer.baseAddress, count: received).bindMemory(to: UInt8.self))
                )
            }
        }
        // Made only now that there may be something: no buffer lives across a wait.
        var result = Attempt<Int>.wait(.receive)
        var failure: Errno?
        let bytes = [UInt8](unsafeUninitializedCapacity: most) { buffer, filled in
            do throws(Errno) {
                result = try attemptReceive(
                    fd, into: UnsafeMutableRawBufferPointer(buffer), pastUnread: pastUnread)
                if case .done(let received) = result { filled = received }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        switch result {
        case .wait(let direction): return .wait(direction)
        case .done(0): return .done(nil)
        // A small message must not keep a large buffer alive.
        case .done(let received):
            receivesMuch = received > EventLoop.scratchSize / 2
            return .done(received < most / 2 ? bytes.withUnsafeBufferPointer { Array($0) } : bytes)
        }
    }

    /// Gathers until `count` bytes are there (true) or the peer has finished (false).
    private func attemptGather(
        _ fd: CInt, _ count: Int, _ gathered: inout [UInt8]
    ) throws(Errno) -> Attempt<Bool> {
        while gathered.count < count {
            // The count may come from a peer: memory grows with what has come, not with what was announced.
            switch try attemptReceive(fd, upTo: min(count - gathered.count, 65536)) {
            case .wait(let direction): return .wait(direction)
            case .done(nil):
                unread.putBack(gathered[...])
                return .done(false)
            case .done(let more?): gathered.append(contentsOf: more)
            }
        }
        return .done(true)
    }
}

// MARK: - A caller's buffer

/// The free part of a buffer. Safety: the caller holds the buffer, inout, for as long as the verb lasts.
private func freePart(of buffer: inout OutputRawSpan) -> UnsafeMutableRawBufferPointer {
    buffer.withUnsafeMutableBytes { bytes, filled in UnsafeMutableRawBufferPointer(rebasing: bytes[filled...]) }
}

private func commit(_ count: Int, to buffer: inout OutputRawSpan) {
    buffer.withUnsafeMutableBytes { _, filled in filled += count }
}
