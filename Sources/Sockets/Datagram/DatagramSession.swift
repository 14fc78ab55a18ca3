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
    private let mailbox: Lock<Mailbox>
    /// Where answers to a batch of datagrams wait to go out together.
    private let outbox: Outbox
    /// Why an answer that went with others was not sent, the next call's to tell; 0 for nothing.
    private let refusal = Atomic<CInt>(0)
    private let task = Atomic<UInt>(0)
    private let held: HeldBytes
    /// CLOCK_MONOTONIC when the last datagram came; written by the server, and by `touch`.
    let lastHeard: Atomic<UInt64>
    private let dropped = Atomic<Int>(0)

    init(_ remote: SocketAddress, _ place: SessionTable.Place, at now: UInt64) {
        remoteAddress = remote
        socket = place.socket
        outbox = place.outbox
        held = place.held
        mailbox = Lock(Mailbox(capacity: place.queue))
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
        while true {
            switch mailbox.withLock({ $0.take() }) {
            case .message(let message):
                held.give(message.size)
                return message.bytes
            case .finished:
                if RunningTask.current.isCancelled { throw socket.error(.receive, .cancelled, with: remoteAddress) }
                return nil
            case .nothing: break
            }
            // Who cancels the served task finishes the box too, so that its waits need no handler.
            if task.load(ordering: .relaxed) == RunningTask.current.number {
                _ = await suspended { wait($0, id: 0) }
            } else {
                try await waitWatched()
            }
        }
    }

    private func wait(_ waiter: Waiter, id: UInt64) {
        if !mailbox.withLock({ $0.wait(waiter, id: id) }) { waiter.resume(.ready) }
    }

    /// Waits in a task whose cancellation the server knows nothing of.
    @inline(never)
    private func waitWatched() async throws(SocketError) {
        let id = Self.lastID.wrappingAdd(1, ordering: .relaxed).newValue
        await withTaskCancellationHandler {
            _ = await Waiter.suspend { waiter in
                wait(waiter, id: id)
                // A cancellation from before the waiter stood there found nobody to wake.
                if RunningTask.current.isCancelled { leave(id) }
            }
        } onCancel: {
            leave(id)
        }
        guard RunningTask.current.isCancelled else { return }
        mailbox.withLock { $0.wakeNext() }?.resume(.ready)
        throw socket.error(.receive, .cancelled, with: remoteAddress)
    }

    private static let lastID = Atomic<UInt64>(0)

    private func leave(_ id: UInt64) {
        mailbox.withLock { $0.leave(id) }?.resume(.recheck)
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
        let known = mailbox.withLock { $0.passage }
        guard isAnswerable else { throw socket.error(.send, .system(.addressRequired), with: remoteAddress) }
        guard let passage = known.answer else { return }
        try await answer(bytes, by: passage)
    }

    /// Hands an answer in where answers gather, or sends it.
    @inline(__always)
    func answer(_ bytes: [UInt8], by passage: System.Passage) async throws(SocketError) {
        switch outbox.post(bytes, by: passage, of: self) {
        case .taken: return
        case .left: break
        case .leftBehind: await outbox.drain(on: socket)
        }
        try await socket.send(
            pointer(to: bytes.span.bytes), to: socket.remoteAddress == nil ? remoteAddress : nil, by: passage,
            patience: DatagramSocket.patienceOfAnswers)
    }

    /// Whether there is a way back: to the sender's address, or to the one whom the socket is connected to.
    var isAnswerable: Bool { remoteAddress != .unnamed || socket.remoteAddress != nil }

    func takeRefusal() -> SocketError? {
        // Each call comes here, and hardly ever finds one.
        guard refusal.load(ordering: .relaxed) != 0 else { return nil }
        let code = refusal.exchange(0, ordering: .relaxed)
        return code == 0 ? nil : socket.error(.send, .system(Errno(rawValue: code)), with: remoteAddress)
    }

    /// Sends a text as one datagram, in UTF-8; see `send(_: [UInt8])`.
    public func send(_ text: String) async throws(SocketError) {
        try await send(Array(text.utf8))
    }

    /// Counts as a datagram of the sender's: for a session that lives by what it is sent, though its sender only listens.
    ///
    /// Never waits, and does not bring back a session that is over.
    public func touch() { lastHeard.store(System.now, ordering: .relaxed) }

    // MARK: For a relay

    /// Whether nothing more comes.
    package var isOver: Bool { mailbox.withLock { $0.isFinished } }

    /// How the datagram that was received last came.
    var lastPassage: System.Passage { mailbox.withLock { $0.passage } }

    /// The next datagram if it has come already.
    func takeNow() -> [UInt8]? {
        guard case .message(let message) = mailbox.withLock({ $0.take() }) else { return nil }
        held.give(message.size)
        return message.bytes
    }

    /// Lets answers gather, where they may; who does sends them off before he waits.
    func beginGathering() -> Bool {
        // With a trace each send is told of as it happens; a Unix receiver's full queue must hold up only his.
        guard socket.trace == nil, socket.transport == .udp else { return false }
        outbox.open()
        return true
    }

    /// Sends what has gathered.
    func sendGathered() async { await outbox.flush(on: socket) }

    /// Has `action` done when the session is over, at once if it is; by whoever ends it.
    func whenFinished(_ action: @escaping @Sendable () -> Void) {
        if !mailbox.withLock({ $0.setEndAction(action) }) { action() }
    }

    // MARK: For the server

    /// An answer that went with others was refused.
    func refused(_ errno: Errno) { refusal.store(errno.rawValue, ordering: .relaxed) }

    /// Hands in the datagram that the session begins with: a body may answer it without having received it.
    func begin(with message: Message) {
        let isKept = held.take(message.size)
        if !isKept { noteDropped() }
        mailbox.withLock { $0.begin(with: message, isKept: isKept) }
    }

    /// Hands a datagram in, or drops it.
    func put(_ message: Message) {
        guard held.take(message.size) else { return noteDropped() }
        let (isIn, woken) = mailbox.withLock { $0.put(message) }
        if !isIn {
            held.give(message.size)
            noteDropped()
        }
        woken?.resume(.ready)
    }

    private func noteDropped() { dropped.wrappingAdd(1, ordering: .relaxed) }

    /// Nothing more comes: what is here can still be received.
    func finish() {
        let (waiters, action) = mailbox.withLock { $0.finish() }
        for waiter in waiters { waiter.resume(.recheck) }
        action?()
    }

    /// What was left when the session ended. The datagram that began it is not left, also where the body did not look at
    /// it: it would begin one session after the other for ever.
    func leftovers() -> ArraySlice<Message> {
        finish()
        let (left, hasReceived) = mailbox.withLock { ($0.empty(), $0.hasReceived) }
        for message in left { held.give(message.size) }
        return left.dropFirst(hasReceived ? 0 : 1)
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
