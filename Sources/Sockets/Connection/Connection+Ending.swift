internal import CSockets
internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// How a stream ends
//
// Each direction ends by itself. `finishSending` sends a FIN: the peer's receive gives nil once it has got everything
// before it. That is the tutorial's "empty value": nobody sends it, it is how the end reads. The other direction goes on.
//
// `close` ends both and frees the socket. If bytes had come that nobody received, or come later, the kernel answers with a
// reset, and a reset destroys what the peer has not yet read: our last words. Who wants them heard finishes, reads on until
// the peer finishes too, and closes then: that is `finishAndClose`.

extension Connection {
    /// Ends the sending direction: the peer receives all that was sent, and then the end. Receiving goes on. Idempotent.
    ///
    /// Never waits. A send under way fails with `Errno.brokenPipe`, and its `bytesSent` says how much of it goes out before
    /// the end. Throws `.closed` after `close()`, and `.messageCut` while a message is cut (`cutMessage`): the end would
    /// tell the peer that it was whole. Corresponds to `shutdown(2)` with `SHUT_WR`.
    public func finishSending() throws(SocketError) {
        try shut(CInt(SHUT_WR), .send)
    }

    /// Ends the receiving direction: a receive under way, and each later one, gives what has come and then nil. Sending
    /// goes on. Idempotent.
    ///
    /// Never waits. On Linux the peer is not told. Throws `.closed` after `close()`. Corresponds to `shutdown(2)` with
    /// `SHUT_RD`.
    public func stopReceiving() throws(SocketError) {
        hasStopped.store(true, ordering: .releasing)
        try shut(CInt(SHUT_RD), .receive)
    }

    private func shut(_ how: CInt, _ direction: Direction) throws(SocketError) {
        if direction == .send, let cut = cutMessage, !isClosed { throw error(.shutdown, .messageCut(sent: cut)) }
        do throws(Errno) {
            guard try waitable.use({ (fd) throws(Errno) in try System.shutdown(fd, how: how) }) != nil else {
                throw Errno.badFileDescriptor
            }
        } catch .badFileDescriptor {
            throw error(.shutdown, .closed)
        } catch .socketNotConnected {
            // The peer is gone, and with it both directions: there is nothing left to end.
        } catch {
            throw self.error(.shutdown, .system(error))
        }
        // poll(2) never tells the sender of a Unix socket that it has shut down itself.
        waitable.retry(direction)
        if let trace { trace.tell(.did(.shutdown, .done), of: waitable.rawValue, remoteAddress) }
    }

    /// Ends both directions at once and frees the socket. Idempotent, and safe from any thread.
    ///
    /// Never waits. Verbs under way, in tasks and in threads, fail with `.closed`. What was sent still goes out, unless
    /// bytes had come that nobody received: then the peer sees a reset. It sees one too if a message is cut (`cutMessage`),
    /// a send under way included. Corresponds to `close(2)`.
    public func close() {
        if waitable.close() { trace?.tell(.closed, of: waitable.rawValue, remoteAddress) }
    }

    /// Whether both directions are over, by a reset or because the peer has closed a Unix socket (`poll(2)`: `POLLHUP`,
    /// `POLLERR`).
    package var isBroken: Bool { ((try? waitable.use { System.isHungUp($0) }) ?? nil) ?? true }

    /// Whether nothing more can be delivered: TCP has given the connection up or both ends have taken all, or a Unix peer has
    /// closed.
    package var isGone: Bool {
        let isGone = try? waitable.use { fd in
            (try? System.tcpInfo(fd)).map { $0.is_closed != 0 } ?? System.isHungUp(fd)
        }
        return (isGone ?? nil) ?? true
    }

    /// How many bytes have come that were not received (`FIONREAD`).
    package var waiting: Int {
        let count = try? waitable.use { (fd) throws(Errno) in try System.readableBytes(fd) }
        return (count ?? nil) ?? 0
    }

    /// Calls `body` with the descriptor, which stays open until `body` returns; nil when the connection is closed.
    package func whileOpen<R>(_ body: (CInt) -> R) -> R? { (try? waitable.use(body)) ?? nil }

    /// Whether the end of the stream has been received, and was the peer's. Safe from any task.
    var hasPeerFinished: Bool { peerHasFinished.load(ordering: .acquiring) }

    /// Whether this side has stopped receiving, so that the end may be its own.
    package var hasStoppedReceiving: Bool { hasStopped.load(ordering: .acquiring) }

    /// Closes so that the peer sees no end but a reset: what it has not got yet is dropped. On a Unix socket this is `close()`.
    ///
    /// Never waits. Corresponds to `close(2)` with `SO_LINGER` at zero; RFC 9293, 3.10.5, calls it an abort.
    public func abort() {
        _ = try? waitable.use { (fd) throws(Errno) in try System.resetAtClose(fd) }
        close()
    }

    /// Closes so that the peer gets all that was sent: finishes sending, reads on and drops what comes until the peer has
    /// finished too, and closes.
    ///
    /// Waits for the peer, at most for `limit` and for 1 MiB of what it still sends. Throws nothing: the connection is closed
    /// in any case. While a message is cut (`cutMessage`) it is reset at once. Corresponds to `shutdown(2)`, `recv(2)` and
    /// `close(2)`.
    public func finishAndClose(within limit: Duration = .seconds(2)) async {
        defer { close() }
        // Once the peer has finished nothing can come any more that would turn the close into a reset.
        guard !hasPeerFinished, (try? finishSending()) != nil else { return }
        receiveDeadline = .after(limit)
        let drain = Drain(connection: self)
        var dropped = 0
        while dropped < Self.mostDropped, let count = try? await drain.drop(), count > 0 { dropped += count }
    }

    /// Closes so that the peer gets all that was sent.
    ///
    /// Blocks the thread until the peer has finished, at most for `limit` and for 1 MiB of what it still sends. Corresponds
    /// to `shutdown(2)`, `recv(2)` and `close(2)`.
    @available(*, noasync)
    public func finishAndClose(within limit: Duration = .seconds(2)) {
        defer { close() }
        // Once the peer has finished nothing can come any more that would turn the close into a reset.
        guard !hasPeerFinished, (try? finishSending()) != nil else { return }
        receiveDeadline = .after(limit)
        let drain = Drain(connection: self)
        var dropped = 0
        while dropped < Self.mostDropped, let count = try? drain.drop(), count > 0 { dropped += count }
    }

    private static let mostDropped = 1 << 20
}

/// Receives what comes and drops it, whatever the connection's rule of who may speak: unread, it would turn the close into
/// a reset.
private final class Drain: DrivenSocket {
    private let connection: Connection

    init(connection: Connection) { self.connection = connection }

    var waitable: Waitable { connection.waitable }
    var trace: Trace? { connection.trace }
    var who: SocketAddress { connection.remoteAddress }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        connection.error(operation, cause)
    }

    /// How many bytes were dropped; none when the peer has finished.
    func drop() async throws(SocketError) -> Int {
        try await perform(.receive, .receive, outcome: { .came($0) }) { (fd) throws(Errno) in try attempt(fd) }
    }

    func drop() throws(SocketError) -> Int {
        try performBlocking(.receive, .receive, outcome: { .came($0) }) { (fd) throws(Errno) in try attempt(fd) }
    }

    private func attempt(_ fd: CInt) throws(Errno) -> Attempt<Int> {
        try withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { (buffer) throws(Errno) in
            try System.receive(fd, into: buffer)
        }
    }
}
