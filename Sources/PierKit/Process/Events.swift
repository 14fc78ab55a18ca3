internal import Sockets
internal import Loops
internal import SocketCore

/// What the main thread of a verb waits for.
enum Event: Sendable {
    case signal(Int32)
    case outputFailed(Errno)
    /// What was shown could not be written out at the end.
    case flushFailed(Failure)
    /// The work is done; why not, if it is not.
    case ended(Failure?)
}

/// A queue of events from any thread to the main one.
final class Events: Sendable {
    private let queue = Lock<[Event]>([])
    private let bell = Bell()

    func post(_ event: Event) {
        queue.withLock { $0.append(event) }
        bell.ring()
    }

    /// The next event; nil when the deadline passes first. Blocks the thread.
    func next(until deadline: Deadline) -> Event? {
        while true {
            if let event = queue.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return event }
            if deadline.isPast { return nil }
            bell.waitBlockingAnyway(until: deadline)
        }
    }
}
