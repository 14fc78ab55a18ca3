internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

extension Connection {
    // MARK: In a task

    /// Sends all of the bytes.
    ///
    /// Waits while the peer does not read and the kernel's buffer is full. Other sends of this connection wait their turn.
    /// Nothing to send is sent at once: a stream cannot carry an empty message. Throws `SocketError`, whose `bytesSent` says
    /// how many of the bytes were sent. Unless that is 0, the message is cut: see `cutMessage`. Corresponds to `send(2)`, as
    /// often as it takes.
    public func send(_ bytes: [UInt8]) async throws(SocketError) {
        try await sendAll(pointer(to: bytes.span.bytes))
    }

    /// Sends all of a text, as UTF-8.
    ///
    /// Waits and throws as `send(_: [UInt8])` does.
    public func send(_ text: String) async throws(SocketError) {
        let bytes = Array(text.utf8)
        try await sendAll(pointer(to: bytes.span.bytes))
        withExtendedLifetime(bytes) {}
    }

    /// Sends all of the bytes of a span, without copying or allocating.
    ///
    /// Waits and throws as `send(_: [UInt8])` does.
    public func send(_ bytes: Span<UInt8>) async throws(SocketError) {
        try await sendAll(pointer(to: bytes.bytes))
    }

    /// Sends all of the bytes of a raw span, without copying or allocating.
    ///
    /// Waits and throws as `send(_: [UInt8])` does.
    public func send(_ bytes: RawSpan) async throws(SocketError) {
        try await sendAll(pointer(to: bytes))
    }

    @inline(__always)
    private func sendAll(_ bytes: UnsafeRawBufferPointer) async throws(SocketError) {
        guard !bytes.isEmpty else { return }
        var sent = 0
        do throws(SocketError) {
            try await perform(.send, .send, undo: { noteCut(after: sent, $0) }, outcome: { .taken(bytes.count) }) {
                (fd) throws(Errno) in
                try attemptSend(fd, bytes, &sent)
            }
        } catch {
            throw error.afterSending(sent)
        }
    }

    /// Sends as many of the bytes as there is room for, those from an index on; how many.
    ///
    /// Waits until there is room for one. For who keeps the order of sends himself.
    func sendSome(_ bytes: [UInt8], from start: Int) async throws(SocketError) -> Int {
        let rest = pointer(to: bytes.span.bytes).dropFirst(start)
        let count = try await perform(.send, .send, outcome: { .taken($0) }) { (fd) throws(Errno) in
            do throws(Errno) {
                return try System.send(fd, UnsafeRawBufferPointer(rebasing: rest))
            } catch {
                note(breakage: error)
                throw error
            }
        }
        withExtendedLifetime(bytes) {}
        return count
    }

    // MARK: In a thread

    /// Sends all of the bytes.
    ///
    /// Blocks the thread while the peer does not read and the kernel's buffer is full. Throws `SocketError`, whose
    /// `bytesSent` says how many of the bytes were sent. Unless that is 0, the message is cut: see `cutMessage`. Corresponds
    /// to `send(2)`, as often as it takes.
    @available(*, noasync)
    public func send(_ bytes: [UInt8]) throws(SocketError) {
        try send(bytes.span.bytes)
    }

    /// Sends all of a text, as UTF-8.
    ///
    /// Blocks and throws as `send(_: [UInt8])` does.
    @available(*, noasync)
    public func send(_ text: String) throws(SocketError) {
        try send(Array(text.utf8))
    }

    /// Sends all of the bytes of a span, without copying or allocating.
    ///
    /// Blocks and throws as `send(_: [UInt8])` does.
    @available(*, noasync)
    public func send(_ bytes: Span<UInt8>) throws(SocketError) {
        try send(bytes.bytes)
    }

    /// Sends all of the bytes of a raw span, without copying or allocating.
    ///
    /// Blocks and throws as `send(_: [UInt8])` does.
    @available(*, noasync)
    public func send(_ bytes: RawSpan) throws(SocketError) {
        var sent = 0
        try send(bytes, sent: &sent)
    }

    /// The same, and `sent` is how many of the bytes the system took, also where this throws.
    @available(*, noasync)
    package func send(_ bytes: RawSpan, sent: inout Int) throws(SocketError) {
        let bytes = pointer(to: bytes)
        guard !bytes.isEmpty else { return }
        do throws(SocketError) {
            try performBlocking(.send, .send, undo: { noteCut(after: sent, $0) }, outcome: { .taken(bytes.count) }) {
                (fd) throws(Errno) in
                try attemptSend(fd, bytes, &sent)
            }
        } catch {
            throw error.afterSending(sent)
        }
    }

    /// Keeps what the kernel tells once, for the receive that comes after it.
    func note(breakage error: Errno) {
        if error.isBreakage { breakage.store(error.rawValue, ordering: .releasing) }
    }

    // MARK: The attempt

    func attemptSend(
        _ fd: CInt, _ bytes: UnsafeRawBufferPointer, _ sent: inout Int
    ) throws(Errno) -> Attempt<Void> {
        while sent < bytes.count {
            do throws(Errno) {
                switch try System.send(fd, UnsafeRawBufferPointer(rebasing: bytes[sent...])) {
                case .wait(let direction): return .wait(direction)
                case .done(let count): sent += count
                }
            } catch {
                note(breakage: error)
                throw error
            }
        }
        return .done(())
    }
}

extension Errno {
    /// Whether it tells of the end of a connection: by the peer, or by a network that gave no answer for too long.
    fileprivate var isBreakage: Bool {
        [.connectionReset, .timedOut, .noRouteToHost, .networkUnreachable, .networkDown].contains(self)
    }
}
