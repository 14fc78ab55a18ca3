internal import SocketCore
internal import Synchronization

/// The queues for a socket's two turns: one task or thread at a time in each direction, the others in the order they came.
///
/// Behind a lock, because only contention leads here. Whoever takes an entry out of the queue wakes it, exactly once.
struct Turns: ~Copyable {
    struct Entry {
        let id: UInt64
        /// Whose turn it waits for.
        let direction: Direction
        /// What it wants the turn for, and so whose deadline it keeps: in half-duplex a send waits for the receive's turn.
        let verb: Direction
        let waiter: Waiter
    }

    private let entries = Lock<[Entry]>([])
    private static let lastID = Atomic<UInt64>(0)

    /// A number that no other entry has.
    static func nextID() -> UInt64 {
        lastID.wrappingAdd(1, ordering: .relaxed).newValue
    }

    var isEmpty: Bool { entries.withLock { $0.isEmpty } }

    /// Adds an entry if `mark`, asked under the lock, says that the turn is somebody else's.
    func join(_ direction: Direction, _ entry: Entry, mark: () -> Waitable.Turn) -> Waitable.Turn {
        entries.withLock { entries in
            let turn = mark()
            if turn == .busy { entries.append(entry) }
            return turn
        }
    }

    /// Gives the turn to the first in the queue, or tells that there is none. `taken` is told under the lock whether the
    /// queue is empty now.
    func handOver(_ direction: Direction, taken: (Bool) -> Void, orGiveBack giveBack: () -> Void) {
        let next: Entry? = entries.withLock { entries in
            guard let index = entries.firstIndex(where: { $0.direction == direction }) else {
                giveBack()
                return nil
            }
            let next = entries.remove(at: index)
            taken(!entries.contains { $0.direction == direction })
            return next
        }
        next?.waiter.resume(.ready)
    }

    /// Takes an entry out and wakes it to look again, if it still stands in the queue.
    func leave(_ id: UInt64) {
        let found: Entry? = entries.withLock { entries in
            guard let index = entries.firstIndex(where: { $0.id == id }) else { return nil }
            return entries.remove(at: index)
        }
        found?.waiter.resume(.recheck)
    }

    /// Wakes all who queue to look again, or those whose verb has a direction.
    func wakeAll(_ verb: Direction?) {
        let woken = entries.withLock { entries in
            let woken = entries.filter { verb == nil || $0.verb == verb }
            entries.removeAll { verb == nil || $0.verb == verb }
            return woken
        }
        for entry in woken { entry.waiter.resume(.recheck) }
    }
}
