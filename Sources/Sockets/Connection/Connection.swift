public import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// One end of a stream between two programs: over TCP, or between programs of one machine over a Unix socket.
///
/// Every verb has two faces with one name. With `await` it suspends the task, and the thread serves others meanwhile.
/// Without, in a synchronous function, it blocks the calling thread. All verbs may be called from any task and any thread;
/// in each direction one at a time gets its turn, in the order they came, so that sends never mix.
///
/// `close()` ends everything; half a close is `finishSending()` or `stopReceiving()`. A connection that is let go without a
/// close is closed then, as a safety net.
public final class Connection: Sendable {
    /// Which of the tutorial's sockets this is.
    public enum Origin: Sendable, Hashable {
        /// The client's socket: it connected to a listener.
        case connected
        /// The peer's socket: a listener accepted it.
        case accepted
        /// One of two that were made together (`socketpair(2)`).
        case paired
        /// A descriptor that was made elsewhere.
        case adopted
    }

    // In the order that leaves no holes: a client that waits costs this, and there may be very many.

    /// The peer's address; unnamed for most clients of Unix sockets (`getpeername(2)`).
    public let remoteAddress: SocketAddress
    /// How it was made.
    public let origin: Origin
    /// The rule of who may speak when.
    public let duplex: Duplex
    /// Whether this side has stopped receiving, so that an end is no word of the peer's.
    let hasStopped = Atomic<Bool>(false)
    /// Whether the end of the stream has been received. The holder of the receive turn sets it; any task may read it.
    let peerHasFinished = Atomic<Bool>(false)
    /// Whether the last message was so large that it is better received where it stays. Belongs to the holder of the receive
    /// turn.
    @exclusivity(unchecked) nonisolated(unsafe) var receivesMuch = false
    /// Why the connection broke, as a send was told, or 0. The kernel tells it once, and after that a receive finds what looks
    /// like the end.
    let breakage = Atomic<CInt>(0)
    /// How many bytes of a cut message were sent; 0 if none is cut. Written by the holder of the send turn. In 32 bits, which
    /// fill a hole: a word more would be 16 bytes more for each client.
    let cut = Atomic<UInt32>(0)
    /// The listener that accepted it, if one did.
    public let listener: Listener?
    let trace: Trace?
    package let waitable: Waitable
    /// Received bytes that nobody has got yet. Belongs to the holder of the receive turn.
    @exclusivity(unchecked) nonisolated(unsafe) var unread = UnreadBytes()

    init(
        _ descriptor: consuming Descriptor, origin: Origin, remote: SocketAddress, listener: Listener? = nil,
        duplex: Duplex = .full, trace: Trace?
    ) {
        self.origin = origin
        self.duplex = duplex
        self.listener = listener
        self.trace = trace
        remoteAddress = remote
        let isUnix = if case .unix = remote { true } else { false }
        waitable = Waitable(descriptor, shortReadsDrain: !isUnix)
    }

    /// From one that `connect` has made.
    init(_ made: ConnectingSocket, duplex: Duplex) {
        origin = .connected
        self.duplex = duplex
        listener = nil
        trace = made.trace
        remoteAddress = made.remote
        waitable = made.waitable
        trace?.tell(.connected, of: waitable.rawValue)
    }

    deinit { close() }

    /// This side's own address (`getsockname(2)`).
    ///
    /// Throws `.closed` after `close()`.
    public var localAddress: SocketAddress {
        get throws(SocketError) { try ask { (fd) throws(Errno) in try System.localAddress(fd) } }
    }

    /// Whether `close()` was called.
    public var isClosed: Bool { waitable.isClosed }

    /// How the socket looks to the kernel now; nil after `close()`.
    public var socketDescription: SocketDescription? {
        (try? waitable.use { SocketDescription(of: $0) }) ?? nil
    }

    /// Process, user and group of a Unix peer, as they were when it connected (`SO_PEERCRED`).
    ///
    /// Throws `Errno.protocolNotAvailable` for a TCP peer.
    public var peerCredentials: (process: Int32, user: UInt32, group: UInt32) {
        get throws(SocketError) {
            // Linux answers for TCP too, with nobody's.
            guard case .unix = remoteAddress else { throw error(.option, .system(.protocolNotAvailable)) }
            return try ask { (fd) throws(Errno) in try System.peerCredentials(fd) }
        }
    }

    /// How many sent bytes the peer's system has not acknowledged, or on a Unix socket the peer has not read (`SIOCOUTQ`).
    package var unacknowledged: Int {
        get throws(SocketError) { try ask { (fd) throws(Errno) in try System.unsentBytes(fd) } }
    }

    /// The value of an option (`getsockopt(2)`). Never waits. Throws `.closed` after `close()`, and `.system` where the socket
    /// has no such option.
    public func option<Value>(_ option: SocketOption<Value>) throws(SocketError) -> Value {
        try ask { (fd) throws(Errno) in try System.get(option, of: fd) }
    }

    /// Sets an option (`setsockopt(2)`). Never waits. Throws as reading it does, and `.system` for a value that is refused.
    public func setOption<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketError) {
        try ask { (fd) throws(Errno) in try System.set(option, to: value, of: fd) }
    }

    /// Calls `body` with the descriptor, for what Pier does not wrap. It stays open until `body` returns, even if another
    /// thread closes the connection; it is non-blocking, and `body` must not close it.
    ///
    /// Throws `.closed` after `close()`, and what `body` throws.
    public func withDescriptor<R>(_ body: (CInt) throws -> R) throws -> R {
        waitable.markShared()
        let result = try waitable.use { fd in Result { try body(fd) } }
        guard let result else { throw error(.option, .closed) }
        return try result.get()
    }
}

// MARK: - Deadlines

extension Connection {
    /// Until when receiving may wait. A change takes effect on waits under way; a deadline in the past fails every receive
    /// with `.timedOut` until it is changed. Nothing that has come is lost by it. Corresponds to the timeout of `poll(2)`.
    public var receiveDeadline: Deadline {
        get { waitable.deadline(.receive) }
        set { waitable.setDeadline(newValue, .receive) }
    }

    /// Until when sending may wait. After a `.timedOut` in a send its message may be cut: see `cutMessage`.
    public var sendDeadline: Deadline {
        get { waitable.deadline(.send) }
        set { waitable.setDeadline(newValue, .send) }
    }

    /// How long any single wait may last, for bytes or for room to send; nil is without end. It fails with `.timedOut`, at
    /// once if the time is not above zero.
    public var idleTimeout: Duration? {
        get { waitable.idleTimeout }
        set { waitable.idleTimeout = newValue }
    }
}

// MARK: - Made elsewhere

extension Connection {
    /// Two connected ends in this process (`socketpair(2)`, Unix).
    ///
    /// Never waits. Throws `.system` when the process has no descriptors left.
    public static func pair(
        duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) -> (Connection, Connection) {
        let made: (CInt, CInt)
        do throws(Errno) {
            made = try System.socketPair(family: AF_UNIX, kind: System.kindStream)
        } catch {
            throw SocketError(.connect, .system(error), target: "unix pair")
        }
        let end = { (raw: CInt) in
            Connection(Descriptor(owning: raw), origin: .paired, remote: .unnamed, duplex: duplex, trace: trace)
        }
        return (end(made.0), end(made.1))
    }

    /// Takes over a connected stream socket that was made elsewhere, and makes it non-blocking and close-on-exec. From
    /// then on it is this connection's to close, unless this throws.
    ///
    /// Never waits. Throws when it is no connected stream socket. Corresponds to `fcntl(2)`.
    public convenience init(
        adopting descriptor: CInt, duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) {
        let remote: SocketAddress
        do throws(Errno) {
            remote = try adopt(descriptor) { (fd) throws(Errno) in try System.remoteAddress(fd) }
        } catch {
            throw SocketError(.adopt, .system(error), target: "descriptor \(descriptor)")
        }
        self.init(Descriptor(owning: descriptor), origin: .adopted, remote: remote, duplex: duplex, trace: trace)
        waitable.markShared()
    }
}

/// Makes a descriptor fit for us, after `check` found it to be what it should be; shared by what adopts descriptors.
func adopt<R>(
    _ descriptor: CInt, as expected: CInt = System.kindStream, _ check: (CInt) throws(Errno) -> R
) throws(Errno) -> R {
    var kind: CInt = 0
    _ = try withUnsafeMutableBytes(of: &kind) { (bytes) throws(Errno) in
        try System.getOption(descriptor, SOL_SOCKET, SO_TYPE, bytes)
    }
    guard kind == expected else { throw Errno(rawValue: ESOCKTNOSUPPORT) }
    let found = try check(descriptor)
    try System.makeNonBlocking(descriptor)
    try System.makeCloseOnExec(descriptor)
    // As for the sockets that are made here; a Unix socket has no such option.
    try? System.set(.noDelay, to: true, of: descriptor)
    return found
}

// MARK: - For the drivers

extension Connection: DrivenSocket {
    var who: SocketAddress { remoteAddress }
    var holdsUnread: Bool { !unread.isEmpty }
    var cutCount: Int { Int(cut.load(ordering: .acquiring)) }

    func turn(for direction: Direction) throws(SocketError) -> Direction {
        switch (duplex, direction) {
        case (.full, _): return direction
        case (.half, _): return .receive
        case (.send, .send), (.receive, .receive): return direction
        case (.send, .receive): throw error(.receive, .misuse("this connection is for sending only"))
        case (.receive, .send): throw error(.send, .misuse("this connection is for receiving only"))
        }
    }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        SocketError(operation, cause, remote: remoteAddress)
    }
}
