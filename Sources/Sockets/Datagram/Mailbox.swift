internal import DequeModule
internal import Loops
internal import SocketCore

/// A session's datagrams that nobody has received yet, bounded, and the tasks that wait for the next.
///
/// It stands behind its session's lock and never waits. Whom it gives as woken is to be resumed when the lock is free.
struct Mailbox {
    /// A task that waits. Who is not cancelled by the server has a number, to be found by.
    private struct Waiting {
        let id: UInt64
        let waiter: Waiter
    }

    /// What there is for who wants the next datagram.
    enum Taken {
        case message(DatagramSession.Message)
        /// Nothing is left, and nothing more will come.
        case finished
        /// Nothing yet.
        case nothing
    }

    private let capacity: Int
    private var held = Deque<DatagramSession.Message>()
    private var waiting = Deque<Waiting>()
    private(set) var isFinished = false
    /// How the last datagram that was received came; before that, the one that began the session.
    private(set) var passage = System.Passage.usual
    private(set) var hasReceived = false
    /// What is done at the end.
    private var endAction: (@Sendable () -> Void)?

    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    /// Puts in the datagram that the session begins with: it may be answered without having been received.
    mutating func begin(with message: DatagramSession.Message, isKept: Bool) {
        passage = message.passage
        if isKept { held.append(message) }
    }

    /// Puts a datagram in, and gives the task to wake for it; false when the box is full or finished.
    mutating func put(_ message: DatagramSession.Message) -> (isIn: Bool, woken: Waiter?) {
        guard !isFinished, held.count < capacity else { return (false, nil) }
        held.append(message)
        return (true, waiting.popFirst()?.waiter)
    }

    /// Takes the next datagram.
    mutating func take() -> Taken {
        guard let message = held.popFirst() else { return isFinished ? .finished : .nothing }
        passage = message.passage
        hasReceived = true
        return .message(message)
    }

    /// Lets a task wait; false when it need not.
    mutating func wait(_ waiter: Waiter, id: UInt64) -> Bool {
        guard held.isEmpty, !isFinished else { return false }
        waiting.append(Waiting(id: id, waiter: waiter))
        return true
    }

    /// One that takes nothing may have been woken for a datagram: it is the next one's then.
    mutating func wakeNext() -> Waiter? {
        held.isEmpty ? nil : waiting.popFirst()?.waiter
    }

    /// The task of a number waits no longer.
    mutating func leave(_ id: UInt64) -> Waiter? {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return nil }
        return waiting.remove(at: index).waiter
    }

    /// Sets what is to be done at the end; false when it has come.
    mutating func setEndAction(_ action: @escaping @Sendable () -> Void) -> Bool {
        if !isFinished { endAction = action }
        return !isFinished
    }

    /// Nothing more comes: what is in the box can still be taken. Gives whom to wake and what to do then. Idempotent.
    mutating func finish() -> ([Waiter], (@Sendable () -> Void)?) {
        isFinished = true
        defer { (waiting, endAction) = ([], nil) }
        return (waiting.map(\.waiter), endAction)
    }

    /// Takes out all that is left.
    mutating func empty() -> [DatagramSession.Message] {
        guard !held.isEmpty else { return [] }
        defer { held = [] }
        return Array(held)
    }
}
