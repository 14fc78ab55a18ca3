internal import Loops
public import SocketCore
internal import SystemPackage

// A datagram goes whole or not at all, so sends cannot mix. One that finds the socket's own buffer full waits its turn, as
// all others must then. But where the receiver's queue is full (a Unix socket's, which nobody can be polled for) only the
// sends to that receiver wait, without a turn, by looking again ever more rarely.

extension DatagramSocket {
    // MARK: In a task

    /// Sends one datagram: to the peer of a connected socket, or to an address.
    ///
    /// Waits while the kernel's buffer, or the queue of a Unix receiver, is full. Throws `SocketError`, and the socket lives
    /// on: `Errno.messageTooLong` for more than UDP carries (65 507 bytes over IPv4), `Errno.connectionRefused` where nobody
    /// is there any more, `Errno.permissionDenied` for a broadcast without `SocketOption.broadcast`. That it was sent does
    /// not say that it arrives. Corresponds to `sendmsg(2)`.
    public func send(_ bytes: [UInt8], to address: SocketAddress? = nil) async throws(SocketError) {
        try await send(pointer(to: bytes.span.bytes), to: address, by: .usual)
    }

    /// Sends a text as one datagram, in UTF-8. Waits and throws as `send(_: [UInt8], to:)` does.
    public func send(_ text: String, to address: SocketAddress? = nil) async throws(SocketError) {
        let bytes = Array(text.utf8)
        try await send(pointer(to: bytes.span.bytes), to: address, by: .usual)
        withExtendedLifetime(bytes) {}
    }

    /// Sends the bytes of a raw span as one datagram, without copying. Waits and throws as `send(_: [UInt8], to:)` does.
    public func send(_ bytes: RawSpan, to address: SocketAddress? = nil) async throws(SocketError) {
        try await send(pointer(to: bytes), to: address, by: .usual)
    }

    /// Answers a datagram: to its sender, from the address of this machine that it came to, and with one hop less than it
    /// had left; when that was its last, nothing is sent. So two servers of this kind cannot answer each other for ever.
    ///
    /// Waits and throws as `send(_: [UInt8], to:)` does, but no longer than a second for a Unix sender who does not read
    /// (`.timedOut`): what he leaves unread takes up room that the answers to all others need. A sender without an address
    /// cannot be answered (`Errno.addressRequired`).
    public func send(_ bytes: [UInt8], answering datagram: Datagram) async throws(SocketError) {
        try await send(bytes, answering: datagram, patience: Self.patienceOfAnswers)
    }

    /// The same with another patience.
    func send(_ bytes: [UInt8], answering datagram: Datagram, patience: Duration) async throws(SocketError) {
        guard let passage = try passage(of: datagram) else { return }
        try await send(
            pointer(to: bytes.span.bytes), to: remoteAddress == nil ? datagram.sender : nil, by: passage,
            patience: patience)
    }

    /// How long an answer waits for a receiver that does not read.
    static let patienceOfAnswers = Duration.seconds(1)

    private func passage(of datagram: Datagram) throws(SocketError) -> System.Passage? {
        guard datagram.sender != .unnamed || remoteAddress != nil else {
            throw error(.send, .system(.addressRequired), with: datagram.sender)
        }
        return datagram.answer
    }

    func send(
        _ bytes: UnsafeRawBufferPointer, to address: SocketAddress?, by passage: System.Passage,
        patience limit: Duration? = nil
    ) async throws(SocketError) {
        var patience = Patience(self, limit)
        while true {
            let isSent: Bool
            do throws(SocketError) {
                isSent = try await perform(.send, .send, outcome: { Self.outcome($0, bytes) }) { (fd) throws(Errno) in
                    try attemptSend(fd, bytes, to: address, by: passage)
                }
            } catch {
                throw self.error(.send, error.cause, with: address ?? remoteAddress)
            }
            if isSent { return }
            let pause = try patience.pause(for: address)
            do throws(SocketError) {
                try await EventLoop.sleep(for: pause)
            } catch {
                throw self.error(.send, error.cause, with: address ?? remoteAddress)
            }
        }
    }

    // MARK: In a thread

    /// Sends one datagram: to the peer of a connected socket, or to an address.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public func send(_ bytes: [UInt8], to address: SocketAddress? = nil) throws(SocketError) {
        try send(bytes.span.bytes, to: address)
    }

    /// Sends a text as one datagram, in UTF-8. Blocks and throws as `send(_: [UInt8], to:)` does.
    @available(*, noasync)
    public func send(_ text: String, to address: SocketAddress? = nil) throws(SocketError) {
        try send(Array(text.utf8), to: address)
    }

    /// Sends the bytes of a raw span as one datagram, without copying. Blocks and throws as `send(_: [UInt8], to:)` does.
    @available(*, noasync)
    public func send(_ bytes: RawSpan, to address: SocketAddress? = nil) throws(SocketError) {
        try sendBlocking(pointer(to: bytes), to: address, by: .usual)
    }

    /// Answers a datagram: to its sender, from the address of this machine that it came to, and with one hop less than it
    /// had left; when that was its last, nothing is sent.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public func send(_ bytes: [UInt8], answering datagram: Datagram) throws(SocketError) {
        guard let passage = try passage(of: datagram) else { return }
        try sendBlocking(
            pointer(to: bytes.span.bytes), to: remoteAddress == nil ? datagram.sender : nil, by: passage,
            patience: Self.patienceOfAnswers)
    }

    /// The same, but a receiver's full queue is not waited for: it fails with `.timedOut` at once.
    @available(*, noasync)
    package func sendAtOnce(_ bytes: [UInt8], answering datagram: Datagram) throws(SocketError) {
        guard let passage = try passage(of: datagram) else { return }
        try sendBlocking(
            pointer(to: bytes.span.bytes), to: remoteAddress == nil ? datagram.sender : nil, by: passage,
            patience: .zero)
    }

    /// Sends a datagram to another's sender, from the address that it came to: a word of its own and no answer, so with all
    /// hops, and with the patience of `send(_:to:)`.
    @available(*, noasync)
    package func send(_ bytes: [UInt8], toSenderOf datagram: Datagram) throws(SocketError) {
        guard datagram.sender != .unnamed else {
            throw error(.send, .system(.addressRequired), with: datagram.sender)
        }
        var passage = datagram.passage
        passage.hops = System.Passage.usual.hops
        try sendBlocking(pointer(to: bytes.span.bytes), to: datagram.sender, by: passage)
    }

    private func sendBlocking(
        _ bytes: UnsafeRawBufferPointer, to address: SocketAddress?, by passage: System.Passage,
        patience limit: Duration? = nil
    ) throws(SocketError) {
        var patience = Patience(self, limit)
        while true {
            let isSent: Bool
            do throws(SocketError) {
                isSent = try performBlocking(.send, .send, outcome: { Self.outcome($0, bytes) }) { (fd) throws(Errno) in
                    try attemptSend(fd, bytes, to: address, by: passage)
                }
            } catch {
                throw self.error(.send, error.cause, with: address ?? remoteAddress)
            }
            if isSent { return }
            let pause = try patience.pause(for: address)
            Bell.pauseThread(for: pause)
        }
    }

    // MARK: The attempt

    private static func outcome(_ isSent: Bool, _ bytes: UnsafeRawBufferPointer) -> Trace.Outcome {
        isSent ? .taken(bytes.count) : .receiverFull
    }

    /// True when it is sent; false when the receiver's queue is full, or the system has no memory for it now.
    private func attemptSend(
        _ fd: CInt, _ bytes: UnsafeRawBufferPointer, to address: SocketAddress?, by passage: System.Passage
    ) throws(Errno) -> Attempt<Bool> {
        do throws(Errno) {
            switch try System.sendDatagram(fd, bytes, to: address, by: passage) {
            case .done: return .done(true)
            case .wait where transport == .unixDatagram && remoteAddress == nil: return .done(false)
            case .wait(let direction): return .wait(direction)
            }
        } catch .noBufferSpace {
            return .done(false)
        } catch .socketNotConnected where transport == .unixDatagram && remoteAddress != nil {
            // The kernel parts a Unix socket from a peer that is gone, and says so once only (unix(7)).
            throw .connectionRefused
        }
    }

    /// How a send waits for what cannot be polled: 1 ms at first, doubled up to 50 ms, until its deadline.
    private struct Patience {
        private let socket: DatagramSocket
        private let end: Deadline
        private var next = Duration.milliseconds(1)
        private static let longest = Duration.milliseconds(50)

        init(_ socket: DatagramSocket, _ limit: Duration?) {
            self.socket = socket
            let idle = socket.idleTimeout.map { Deadline.after($0) } ?? .never
            end = min(idle, limit.map { Deadline.after($0) } ?? .never)
        }

        mutating func pause(for address: SocketAddress?) throws(SocketError) -> Duration {
            if end.isPast { throw socket.error(.send, .timedOut, with: address ?? socket.remoteAddress) }
            defer { next = min(next * 2, Self.longest) }
            return next
        }
    }
}

/// Safety: the span, or the array behind it, is a parameter of the verb and so borrowed for the whole call, waits included;
/// its memory stays where it is.
func pointer(to span: RawSpan) -> UnsafeRawBufferPointer {
    span.withUnsafeBytes { $0 }
}
