public import SocketCore

/// What sockets did, when they waited, for what, and how long: told as it happens.
///
/// A trace is given to a `Listener` or a `Connection` when it is made, and an accepted connection has its listener's.
/// Without one nothing is measured and nothing is made.
public struct Trace: Sendable {
    /// One pointer, since every connection has one.
    private final class Sink: Sendable {
        let take: @Sendable (Event) -> Void

        init(_ take: @escaping @Sendable (Event) -> Void) { self.take = take }
    }

    private let sink: Sink

    /// A trace that hands each event to `sink`, on the thread where it happened. `sink` must not wait.
    public init(_ sink: @escaping @Sendable (Event) -> Void) {
        self.sink = Sink(sink)
    }

    /// A trace that hands each event to `write` as one line of text, without a newline.
    public static func lines(to write: @escaping @Sendable (String) -> Void) -> Trace {
        Trace { write($0.description) }
    }

    /// Something that a socket did or that happened to it.
    public struct Event: Sendable, CustomStringConvertible {
        /// The socket's descriptor, as a number.
        public let descriptor: CInt
        /// The address that tells it from others: the peer's, or a listener's own.
        public let who: SocketAddress?
        /// What it was.
        public let action: Action

        /// One line of text, safe for a terminal.
        public var description: String {
            switch action {
            case .stage(let stage, let socket, let queued):
                let waited = queued.map { ", after \($0.inSeconds) s in the listener's queue" } ?? ""
                return "\(stage.rawValue) \(socket)\(waited)"
            case .listening(let backlog):
                return "\(name): open, and up to \(backlog) clients queue until they are accepted"
            case .waited(.accept, let duration, let outcome):
                return "accept waited \(duration.inSeconds) s, until \(outcome)"
            case .waited(let operation, let duration, let outcome):
                return "\(name): \(operation.rawValue) waited \(duration.inSeconds) s, until \(outcome)"
            case .waitedElsewhere(let name, let duration, let outcome):
                return "the wait for \(name) took \(duration.inSeconds) s, until \(outcome)"
            case .did(.accept, let outcome):
                return "accept found that \(outcome)"
            case .did(let operation, let outcome):
                return "\(name): \(operation.rawValue) did not wait: \(outcome)"
            case .attempt(let number, let count, let delay):
                let later = number == 1 ? "" : ", \(delay.inSeconds) s after the first"
                return "attempt \(number) of \(count): \(name)\(later)"
            case .clientFailed(let reason):
                return "\(name): \(reason)"
            case .closed:
                return "\(name): closed fd \(descriptor)"
            }
        }

        private var name: String { who.map(\.description) ?? "fd \(descriptor)" }
    }

    /// The stages of a socket's life in the tutorial.
    public enum Stage: String, Sendable {
        /// `socket(2)` made it.
        case created
        /// `bind(2)` gave it an address; nobody can connect yet.
        case bound
        /// `accept(2)` made it: the peer's end of a client's connection.
        case accepted
        /// `connect(2)` made the client's socket one end of a connection.
        case connected
    }

    /// What happened.
    public enum Action: Sendable {
        /// A stage was reached; how the socket looks now, and how long an accepted one had been queueing.
        case stage(Stage, SocketDescription, queued: Duration?)
        /// `listen(2)`: from now on clients can connect, and this many may queue until they are accepted.
        case listening(backlog: Int)
        /// A verb waited so long, until this ended it.
        case waited(SocketError.Operation, Duration, until: Outcome)
        /// Something that is no socket was waited for, such as a keyboard.
        case waitedElsewhere(String, Duration, until: Outcome)
        /// A verb ended so without a wait.
        case did(SocketError.Operation, Outcome)
        /// An endpoint has several addresses, and connecting to one of them begins: which of how many, in the order to try
        /// them in, and how long after the first.
        case attempt(Int, of: Int, after: Duration)
        /// A client's body threw an error; the others go on.
        case clientFailed(String)
        /// The socket was closed.
        case closed
    }

    /// How a verb ended.
    public enum Outcome: Sendable, CustomStringConvertible {
        /// So many bytes came.
        case came(Int)
        /// So many bytes were passed on to the kernel: all that there were to send.
        case taken(Int)
        /// A datagram of so many bytes came.
        case datagram(Int, from: SocketAddress)
        /// So many datagrams came, by one system call.
        case datagrams(Int)
        /// The receiver's queue is full, and the datagram is still here.
        case receiverFull
        /// The peer has finished sending.
        case finished
        /// A client connected from this address.
        case client(SocketAddress)
        /// The connection stands.
        case connected
        /// Another address of the same endpoint was connected to sooner.
        case lostRace
        /// There is no more.
        case ended
        /// It is done.
        case done
        /// It failed.
        case failed(SocketError.Cause)

        /// The end of a sentence that begins with "until" or "found that".
        public var description: String {
            switch self {
            case .came(1): "1 byte came"
            case .came(let count): "\(count) bytes came"
            case .taken(1): "1 byte was passed on"
            case .taken(let count): "all \(count) bytes were passed on"
            case .datagram(let count, let sender):
                "a datagram of \(count) byte\(count == 1 ? "" : "s") came from \(sender)"
            case .datagrams(1): "1 datagram came"
            case .datagrams(let count): "\(count) datagrams came"
            case .receiverFull: "the receiver's queue was full"
            case .finished: "the peer finished sending"
            case .client(let address): "\(address) connected"
            case .connected: "the peer's system answered"
            case .lostRace: "it lost the race"
            case .ended: "it ended"
            case .done: "it was done"
            // These are this side's own doing, or its clock's.
            case .failed(.closed): "it was closed"
            case .failed(.cancelled): "its task was cancelled"
            case .failed(.timedOut): "its time was over"
            case .failed(let cause): "it failed: \(cause)"
            }
        }
    }

    func tell(_ action: Action, of descriptor: CInt, _ who: SocketAddress?) {
        sink.take(Event(descriptor: descriptor, who: who, action: action))
    }

    func tell(_ stage: Stage, of descriptor: CInt, queued: Duration? = nil) {
        tell(.stage(stage, SocketDescription(of: descriptor), queued: queued), of: descriptor, nil)
    }

    /// Tells of a wait that is no socket's, such as the one for a keyboard.
    package func tellWait(of name: String, _ duration: Duration, until outcome: Outcome) {
        sink.take(Event(descriptor: -1, who: nil, action: .waitedElsewhere(name, duration, until: outcome)))
    }
}

extension Duration {
    /// Seconds with three digits behind the point.
    package var inSeconds: String {
        let milliseconds = clampedNanoseconds / 1_000_000
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
