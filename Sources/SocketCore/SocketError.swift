public import SystemPackage

/// Everything that Pier throws: what was tried, between which addresses, and why it failed.
///
/// That nothing has come yet and that a peer has finished are values, not errors.
public struct SocketError: Error, Sendable {
    /// What was tried.
    public enum Operation: String, Sendable, Hashable {
        /// Making a socket and binding it to an address.
        case bind
        /// Letting a bound socket accept.
        case listen
        /// Waiting for a client.
        case accept
        /// Turning a name into addresses.
        case resolve
        /// Reaching a peer.
        case connect
        /// Waiting for bytes.
        case receive
        /// Passing bytes on.
        case send
        /// Ending one direction.
        case shutdown
        /// Reading or setting an option or an address.
        case option
        /// Waiting for a time.
        case sleep
        /// Starting or ending an event loop.
        case loop
        /// Taking over a descriptor.
        case adopt
        /// Running a program.
        case run
        /// Opening a file, or joining what is no socket.
        case open
        /// Reading from what is no socket.
        case read
        /// Writing to what is no socket.
        case write
    }

    /// Why it failed, by whose doing.
    public enum Cause: Sendable, Hashable {
        /// The system refused; the kernel's word for it.
        case system(Errno)
        /// This side closed the socket, or the loop in which it waited.
        case closed
        /// The deadline or the idle time passed.
        case timedOut
        /// The task was cancelled.
        case cancelled
        /// The name gave no address.
        case resolution(name: String, reason: String)
        /// The endpoint cannot be read, or not be used for this.
        case endpoint(EndpointError)
        /// The peer finished before all that was asked for had come; what did come can still be received.
        case ended(received: Int)
        /// A line was longer than the limit; what came can still be received.
        case lineTooLong(limit: Int)
        /// An earlier send failed after `sent` bytes of its message. Nothing more can be sent until the caller acknowledges
        /// that (`Connection.acknowledgeCutMessage()`).
        case messageCut(sent: Int)
        /// The call cannot be right: in the wrong direction, or blocking on an event loop's thread.
        case misuse(String)
    }

    /// What was tried.
    public var operation: Operation { details.operation }
    /// The socket's own address, where it is known and tells something.
    public var local: SocketAddress? { details.local }
    /// The other side's address, where there is one.
    public var remote: SocketAddress? { details.remote }
    /// Why it failed.
    public var cause: Cause { details.cause }
    /// How many bytes the failed call had sent: a `send`, of its message; a `forward`, in all. 0 for every other call.
    public var bytesSent: Int { details.sent }
    /// The endpoint as it was meant, where no address is known yet.
    package var target: String? { details.target }

    /// In an object, so that an error is one word: the frame of every waiting task holds room for some.
    private final class Details: Sendable {
        let operation: Operation
        let local: SocketAddress?
        let remote: SocketAddress?
        let cause: Cause
        let target: String?
        let sent: Int

        init(
            _ operation: Operation, _ cause: Cause, _ local: SocketAddress?, _ remote: SocketAddress?,
            _ target: String?, _ sent: Int
        ) {
            self.operation = operation
            self.local = local
            self.remote = remote
            self.cause = cause
            self.target = target
            self.sent = sent
        }
    }
    private let details: Details

    /// An error of an operation.
    @inline(never)
    package init(
        _ operation: Operation, _ cause: Cause, local: SocketAddress? = nil, remote: SocketAddress? = nil,
        target: String? = nil, sent: Int = 0
    ) {
        details = Details(operation, cause, local, remote, target, sent)
    }

    /// The same error, of a call that had sent so many bytes.
    @inline(never)
    package func afterSending(_ count: Int) -> SocketError {
        if count == bytesSent { return self }
        return SocketError(operation, cause, local: local, remote: remote, target: target, sent: count)
    }

    /// Whether the peer ended the connection by a reset, or can no longer be written to.
    public var isReset: Bool { cause == .system(.connectionReset) || cause == .system(.brokenPipe) }
}

extension SocketError: CustomStringConvertible {
    /// One sentence: `connect tcp 127.0.0.1:9: connection refused`.
    public var description: String {
        if case .endpoint(let error) = cause { return error.description }
        let place = target ?? (remote ?? local).map { $0 == .unnamed ? "unix" : "\($0.transportName) \($0)" }
        let said = "\(operation.rawValue)\(place.map { " " + $0 } ?? ""): \(cause)\(meaning.map { " (\($0))" } ?? "")"
        return operation == .send && bytesSent > 0 ? "\(said); \(bytesSent) bytes were sent before that" : said
    }

    /// What the kernel's word means for this operation, where its own text does not tell.
    private var meaning: String? {
        switch (operation, cause) {
        case (.connect, .system(.addressNotAvailable)):
            "no local port is free for it, or this machine has no address that could reach it"
        default: nil
        }
    }
}

extension SocketError.Cause: CustomStringConvertible {
    /// What happened, in the words of a person.
    public var description: String {
        switch self {
        case .system(let errno): errno.sentence
        case .closed: "it is closed"
        case .timedOut: "timed out"
        case .cancelled: "cancelled"
        case .resolution(let name, let reason): "\(name.escapedForTerminal()): \(reason)"
        case .endpoint(let error): error.reason
        case .ended(let received): "the peer finished after \(received) bytes, before all had come"
        case .lineTooLong(let limit): "a line is longer than \(limit) bytes"
        case .messageCut(let sent): "an earlier message was cut after \(sent) bytes"
        case .misuse(let what): what
        }
    }
}

extension Errno {
    /// `strerror(3)`'s text as it stands in the middle of a sentence.
    package var sentence: String {
        let text = description
        guard let first = text.first, text.dropFirst().first?.isUppercase != true else { return text }
        return first.lowercased() + text.dropFirst()
    }
}

extension SocketAddress {
    /// `tcp` or `unix`: streams are what an error speaks of unless it names its target itself.
    package var transportName: String {
        if case .unix = self { "unix" } else { "tcp" }
    }
}
