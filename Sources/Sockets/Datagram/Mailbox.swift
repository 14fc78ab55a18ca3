internal import DequeModule
internal import Loops
internal import SocketCore

/// A bounded queue between one who puts elements in, and never waits, and tasks that wait for them.
///
/// Safe from any thread. What is put in while a task waits resumes it; several waiting tasks are served in turn.
final class Mailbox<Element: Sendable>: Sendable {
    /// What came of waiting.
    enum Taken: Sendable {
        case element(Element)
        /// Nothing is left, and nothing more will come.
        case finished
        case cancelled
    }

    private struct State {
        var held = Deque<Element>()
        var waiting: [(id: UInt64, waiter: Waiter)] = []
        var lastID: UInt64 = 0
        var isFinished = false
    }

    private let capacity: Int
    private let state = Lock(State())

    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    /// Puts an element in; false when the box is full or finished, and the element is the caller's to drop.
    func put(_ element: Element) -> Bool {
        let (isIn, waiter) = state.withLock { state -> (Bool, Waiter?) in
            guard !state.isFinished, state.held.count < capacity else { return (false, nil) }
            state.held.append(element)
            return (true, state.waiting.isEmpty ? nil : state.waiting.removeFirst().waiter)
        }
        waiter?.resume(.ready)
        return isIn
    }

    /// The next element; suspends the task until there is one, the box is finished, or the task is cancelled.
    ///
    /// `isWatched` says that whoever cancels this task also finishes the box; then no cancellation handler is needed.
    func take(isWatched: Bool) async -> Taken {
        while true {
            if let taken = takeNow() { return taken }
            if isWatched {
                await wait(nil)
            } else {
                let id = nextID()
                await withTaskCancellationHandler {
                    await wait(id)
                } onCancel: {
                    leave(id)
                }
                if Task.isCancelled {
                    wakeNext()
                    return .cancelled
                }
            }
        }
    }

    private func nextID() -> UInt64 {
        state.withLock { state in
            state.lastID &+= 1
            return state.lastID
        }
    }

    private func takeNow() -> Taken? {
        state.withLock { state in
            if let element = state.held.popFirst() { return .element(element) }
            return state.isFinished ? .finished : nil
        }
    }

    private func wait(_ id: UInt64?) async {
        _ = await Waiter.suspend { waiter in
            let mustWait = state.withLock { state in
                guard state.held.isEmpty, !state.isFinished else { return false }
                state.waiting.append((id ?? 0, waiter))
                return true
            }
            guard mustWait else { return waiter.resume(.ready) }
            // A cancellation from before the waiter stood there found nobody to wake.
            if let id, Task.isCancelled { leave(id) }
        }
    }

    /// One that takes nothing may have been woken for an element: it is the next one's then.
    private func wakeNext() {
        let next = state.withLock { state -> Waiter? in
            state.held.isEmpty || state.waiting.isEmpty ? nil : state.waiting.removeFirst().waiter
        }
        next?.resume(.ready)
    }

    private func leave(_ id: UInt64) {
        let found = state.withLock { state -> Waiter? in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiting.remove(at: index).waiter
        }
        found?.resume(.recheck)
    }

    /// Nothing more comes: what is in the box can still be taken. Idempotent.
    func finish() {
        let waiting = state.withLock { state in
            state.isFinished = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for (_, waiter) in waiting { waiter.resume(.recheck) }
    }

    /// Finishes the box, and takes all that was left in it.
    func empty() -> [Element] {
        finish()
        return state.withLock { state in
            guard !state.held.isEmpty else { return [] }
            defer { state.held = [] }
            return Array(state.held)
        }
    }
}
