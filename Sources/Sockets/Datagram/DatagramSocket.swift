public import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A socket for datagrams: over UDP (RFC 768), or between programs of one machine over a Unix socket.
///
/// A datagram is a message with borders: one `send` is one `receive`, and an empty one is a message too. There is no
/// connection, so there is no end: UDP may lose, double or reorder, and nobody says that he is done. A socket is bound, and
/// then talks to anybody, or connected, and then to one peer only.
///
/// Every verb has two faces with one name, as those of `Connection` have. All verbs may be called from any task and any
/// thread. A socket that is let go without a close is closed then, as a safety net.
public final class DatagramSocket: Sendable {
    /// The peer of a connected socket, whose datagrams are the only ones that come (`getpeername(2)`).
    public let remoteAddress: SocketAddress?
    /// How datagrams go: `udp` or `unixDatagram`.
    public let transport: Endpoint.Transport
    /// The address it was bound to, with the port that the system chose (`getsockname(2)`).
    let boundAddress: SocketAddress
    let trace: Trace?
    package let waitable: Waitable
    /// The file of a bound Unix socket, which goes away with it.
    private let path: UnixPath?
    /// Belongs to the holder of the receive turn.
    nonisolated(unsafe) var ahead = DatagramsAhead()
    /// How many datagrams the kernel dropped: all in all, and as it last told, in 32 bits that wrap around.
    private let overflowsInAll = Atomic<Int>(0)
    private let overflowsTold = Atomic<UInt32>(0)
    private let hasStopped = Atomic<Bool>(false)
    /// The one that serves on it, if there is one.
    let server = Lock<(any DatagramServing)?>(nil)

    /// The longest datagram that UDP carries over IPv4, in bytes: 65 535 less the headers. Over IPv6 it is 65 527.
    public static let largestUDP = 65507

    /// The most that one `receive` gives: 64 KiB, which is all that UDP carries, or for Unix sockets 256 KiB.
    var largestReceive: Int { transport == .udp ? 65536 : 262_144 }

    init(
        _ waitable: Waitable, _ transport: Endpoint.Transport, bound: SocketAddress, remote: SocketAddress?,
        path: UnixPath?, trace: Trace?
    ) {
        self.waitable = waitable
        self.transport = transport
        self.trace = trace
        self.path = path
        boundAddress = bound
        remoteAddress = remote
    }

    deinit { close() }

    /// This side's own address, with the port that the system chose where 0 was asked for (`getsockname(2)`).
    ///
    /// A socket on every address has no better one to tell. Throws `.closed` after `close()`.
    public var localAddress: SocketAddress {
        get throws(SocketError) { try ask { (fd) throws(Errno) in try System.localAddress(fd) } }
    }

    /// The endpoint that others on this machine send to; `fd:` and the descriptor's number where no endpoint can name the
    /// address, such as an unnamed socket's.
    public var endpoint: Endpoint { Endpoint(of: waitable.rawValue, transport, at: boundAddress) }

    /// Connects a bound socket to one sender, where its own address allows it: the kernel refuses the datagrams of others from
    /// now on, and tells when nobody is there any more. What others sent before can still be received.
    ///
    /// A socket on every address stays as it is: connected it would have one address, perhaps not the one that was asked.
    /// Never waits. Corresponds to `connect(2)`.
    package func refuseAllBut(_ sender: SocketAddress) throws(SocketError) {
        guard !boundAddress.isEveryAddress, sender != .unnamed else { return }
        let done: Void? = try ask { (fd) throws(Errno) in _ = try System.connect(fd, to: sender) }
        if done == nil { throw error(.connect, .closed) }
    }

    /// Whether a datagram claims to come from this very socket: it would be answered for ever.
    package func isOwn(_ datagram: Datagram) -> Bool { isOwn(datagram.sender, datagram.passage) }

    func isOwn(_ sender: SocketAddress, _ passage: System.Passage) -> Bool {
        // What tells almost all others: the port.
        guard sender.port == boundAddress.port, sender != .unnamed else { return false }
        if sender == boundAddress { return true }
        // On every address, nobody else on this machine can have the port.
        guard boundAddress.isEveryAddress else { return false }
        return sender.isLoopback || passage.cameTo(sender)
    }

    /// Whether `close()` was called.
    public var isClosed: Bool { waitable.isClosed }

    /// How many datagrams the kernel dropped because nobody received them in time and the queue was full, as far as it has
    /// told: it tells with the next one that it delivers (`SO_RXQ_OVFL`).
    public var overflowCount: Int { overflowsInAll.load(ordering: .relaxed) }

    /// How the socket looks to the kernel now; nil after `close()`.
    public var socketDescription: SocketDescription? {
        (try? waitable.use { SocketDescription(of: $0) }) ?? nil
    }

    /// Ends receiving, and leaves sending: a `serve` under way lets its senders be answered and returns, a receive under way
    /// fails with `.closed`. Idempotent, and safe from any thread. Never waits.
    public func stopReceiving() {
        hasStopped.store(true, ordering: .sequentiallyConsistent)
        // A deadline is what those who are about to wait look at; why it is past, they find then.
        waitable.setDeadline(.now, .receive)
        server.withLock { $0 }?.stop()
    }

    /// Has a `serve` under way take no more senders, and end when each of those that it has has been silent for `silence`, or
    /// for its idle time if that is shorter; zero or less ends them at once. Until then they are served as before.
    /// `serveDatagrams` ends at once, as does a socket that nobody serves. Idempotent, and safe from any thread. Never
    /// waits.
    public func finishServing(afterSilence silence: Duration) {
        if let server = server.withLock({ $0 }) { server.finish(afterSilence: silence) } else { stopReceiving() }
    }

    /// Closes it, and removes the file of a bound Unix socket if it is still its own. Idempotent, and safe from any thread.
    ///
    /// Never waits. Verbs under way fail with `.closed`. What was sent is on its way. Corresponds to `close(2)`.
    public func close() {
        // Before the socket goes: whoever then finds no file makes his own, and ours cannot be his.
        if !waitable.isClosed { path?.remove() }
        if waitable.close() { trace?.tell(.closed, of: waitable.rawValue, who) }
        server.withLock { $0 }?.stop()
    }

    /// Has the receiving task look whether it is to go on.
    func lookAgain() {
        waitable.recheck()
    }

    // MARK: Options

    /// The value of an option (`getsockopt(2)`). Never waits. Throws `.closed` after `close()`, and `.system` where the socket
    /// has no such option.
    public func option<Value>(_ option: SocketOption<Value>) throws(SocketError) -> Value {
        try ask { (fd) throws(Errno) in try System.get(option, of: fd) }
    }

    /// Sets an option (`setsockopt(2)`). Never waits. Throws as reading it does, and `.system` for a value that is refused.
    public func setOption<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketError) {
        try ask { (fd) throws(Errno) in try System.set(option, to: value, of: fd) }
    }

    /// Calls `body` with the descriptor, for what Pier does not wrap; as `Connection.withDescriptor` does.
    public func withDescriptor<R>(_ body: (CInt) throws -> R) throws -> R {
        waitable.markShared()
        let result = try waitable.use { fd in Result { try body(fd) } }
        guard let result else { throw error(.option, .closed) }
        return try result.get()
    }

    // MARK: Deadlines

    /// Until when receiving may wait; see `Connection.receiveDeadline`.
    public var receiveDeadline: Deadline {
        get { waitable.deadline(.receive) }
        set { waitable.setDeadline(newValue, .receive) }
    }

    /// Until when sending may wait.
    public var sendDeadline: Deadline {
        get { waitable.deadline(.send) }
        set { waitable.setDeadline(newValue, .send) }
    }

    /// How long any single wait may last; nil is without end. It fails with `.timedOut`, at once if the time is not above
    /// zero.
    public var idleTimeout: Duration? {
        get { waitable.idleTimeout }
        set { waitable.idleTimeout = newValue }
    }

    /// Takes what the kernel told of its drops into account. By the holder of the receive turn.
    func note(overflows: UInt32) {
        let before = overflowsTold.exchange(overflows, ordering: .relaxed)
        overflowsInAll.wrappingAdd(Int(overflows &- before), ordering: .relaxed)
    }
}

// MARK: - For the drivers

extension DatagramSocket: DrivenSocket {
    var who: SocketAddress { remoteAddress ?? boundAddress }
    var holdsUnread: Bool { !ahead.isEmpty }

    func hasEnded(_ direction: Direction) -> Bool {
        direction == .receive && hasStopped.load(ordering: .sequentiallyConsistent)
    }

    func turn(for direction: Direction) throws(SocketError) -> Direction {
        if hasEnded(direction) { throw error(.receive, .closed) }
        return direction
    }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        error(operation, cause, with: remoteAddress)
    }

    func error(
        _ operation: SocketError.Operation, _ cause: SocketError.Cause, with peer: SocketAddress?
    ) -> SocketError {
        SocketError(
            operation, cause, local: boundAddress, remote: peer,
            target: "\(transport.rawValue) \(peer ?? boundAddress)")
    }
}
