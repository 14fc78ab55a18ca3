internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

/// What one sender's datagrams have in common: they come here and nowhere else, in the order they arrived.
///
/// `DatagramSocket.serve` makes one when a sender is first heard of, and ends it when he has been silent for long. UDP itself
/// knows nothing of it.
public final class DatagramSession: Sendable {
    struct Message: Sendable {
        let bytes: [UInt8]
        let passage: System.Passage

        /// The memory that it is counted as while it waits: its bytes, their array's head, and its place in the queue.
        var size: Int { bytes.count + 96 }
    }

    /// The sender, and where answers go.
    public let remoteAddress: SocketAddress
    /// The socket that it is served on.
    public let socket: DatagramSocket
    let mailbox: Mailbox<Message>
    /// Where answers to a batch of datagrams wait to go out together.
    private let outbox: Outbox
    private struct State {
        /// How the last datagram that was received came; before that, the one that began the session.
        var passage = System.Passage.usual
        var hasReceived = false
    }
    private let state = Lock(State())
    /// Why an answer that went with others was not sent, the next call's to tell; 0 for nothing.
    private let refusal = Atomic<CInt>(0)
    private let task = Atomic<UInt>(0)
    private let held: HeldBytes
    /// CLOCK_MONOTONIC when the last datagram came; written by the server.
    let lastHeard: Atomic<UInt64>
    private let dropped = Atomic<Int>(0)

    init(_ remote: SocketAddress, _ place: SessionTable.Place, at now: UInt64) {
        remoteAddress = remote
        socket = place.socket
        outbox = place.outbox
        held = place.held
        mailbox = Mailbox(capacity: place.queue)
        lastHeard = Atomic(now)
    }

    /// How many of this sender's datagrams were dropped because its queue was full.
    public var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Receives the sender's next datagram; nil when the session is over, because he has been silent for the idle time, the
    /// server stops, or another sender needs the place.
    ///
    /// Waits until one comes. Throws `.cancelled`, and why an answer that went with others was not sent.
    public func receive() async throws(SocketError) -> [UInt8]? {
        if let refusal = takeRefusal() { throw refusal }
        let isServed = task.load(ordering: .relaxed) == RunningTask.current.number
        switch await mailbox.take(isWatched: isServed) {
        case .element(let message):
            held.give(message.size)
            state.withLock { state in
                state.passage = message.passage
                state.hasReceived = true
            }
            return message.bytes
        case .finished:
            if Task.isCancelled { throw socket.error(.receive, .cancelled, with: remoteAddress) }
            return nil
        case .cancelled:
            throw socket.error(.receive, .cancelled, with: remoteAddress)
        }
    }

    /// Sends one datagram to the sender, from the address that he sent to.
    ///
    /// It leaves with one hop less than the last datagram received (or the first one that came) had left; when that was its
    /// last, it is not sent. So two servers of this kind cannot answer each other for ever. Answers to datagrams that came
    /// together go together, by one system call; an error of it is thrown by the session's next call. Waits and throws as
    /// an answer by `DatagramSocket.send` does; a sender without an address cannot be answered (`Errno.addressRequired`).
    /// Corresponds to `sendmmsg(2)`.
    public func send(_ bytes: [UInt8]) async throws(SocketError) {
        if let refusal = takeRefusal() { throw refusal }
        let known = state.withLock { $0.passage }
        guard remoteAddress != .unnamed else {
            throw socket.error(.send, .system(.addressRequired), with: remoteAddress)
        }
        guard let passage = known.answer else { return }
        let entry = Outbox.Entry(bytes: bytes, passage: passage, session: self)
        if outbox.post(entry, on: socket) { return }
        try await socket.send(
            entry.pointer, to: remoteAddress, by: passage, patience: DatagramSocket.patienceOfAnswers)
        withExtendedLifetime(entry) {}
    }

    private func takeRefusal() -> SocketError? {
        // Each call comes here, and hardly ever finds one.
        guard refusal.load(ordering: .relaxed) != 0 else { return nil }
        let code = refusal.exchange(0, ordering: .relaxed)
        return code == 0 ? nil : socket.error(.send, .system(Errno(rawValue: code)), with: remoteAddress)
    }

    /// Sends a text as one datagram, in UTF-8; see `send(_: [UInt8])`.
    public func send(_ text: String) async throws(SocketError) {
        try await send(Array(text.utf8))
    }

    // MARK: For the server

    /// An answer that went with others was refused.
    func refused(_ errno: Errno) { refusal.store(errno.rawValue, ordering: .relaxed) }

    /// Hands in the datagram that the session begins with: a body may answer it without having received it.
    func begin(with message: Message) {
        state.withLock { $0.passage = message.passage }
        _ = put(message)
    }

    /// Hands a datagram in; false when it had to be dropped.
    func put(_ message: Message) -> Bool {
        guard held.take(message.size) else {
            dropped.wrappingAdd(1, ordering: .relaxed)
            return false
        }
        if mailbox.put(message) { return true }
        held.give(message.size)
        dropped.wrappingAdd(1, ordering: .relaxed)
        return false
    }

    /// What was left when the session ended. The datagram that began it is not left, also where the body did not look at
    /// it: it would begin one session after the other for ever.
    func leftovers() -> ArraySlice<Message> {
        let left = mailbox.empty()
        for message in left { held.give(message.size) }
        return left.dropFirst(state.withLock { $0.hasReceived } ? 0 : 1)
    }

    /// The task that the server watches over, so that its waits need no handler of their own.
    func setServedTask(_ number: UInt) { task.store(number, ordering: .relaxed) }
}

/// How much memory the datagrams take that nobody has received yet, of all sessions of a server: bounded, whatever senders
/// do.
final class HeldBytes: Sendable {
    private let count = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func take(_ bytes: Int) -> Bool {
        if count.wrappingAdd(bytes, ordering: .relaxed).newValue <= limit { return true }
        give(bytes)
        return false
    }

    func give(_ bytes: Int) { count.wrappingSubtract(bytes, ordering: .relaxed) }
}
