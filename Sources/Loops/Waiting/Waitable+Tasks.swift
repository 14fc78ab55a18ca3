package import SocketCore
internal import Synchronization

// How a task waits: it suspends, and its continuation stands in the direction's word until somebody takes it.

extension Waitable {
    /// Whether this is the task that `serve` runs for this socket. `serve` wakes its tasks itself when it cancels them: a
    /// cancellation handler for each wait would cost more than the wait.
    package func isServed(by task: RunningTask) -> Bool { isServed(by: task.number) }

    /// Suspends the task until the socket is ready in a direction, or something else changed. The caller has the turn, and
    /// has registered the socket.
    package func wait(for direction: Direction) async -> Wake {
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in park(waiter, direction) }
        } onCancel: {
            side(direction) { $0.signalChange() }
        }
    }

    /// Puts the waiter of a suspended task where what it waits for finds it.
    package func park(_ waiter: Waiter, _ direction: Direction) {
        if let wake = park(waiter, direction, of: .current) { waiter.resume(wake) }
    }

    /// Puts a waiter where what it waits for on behalf of a task finds it; or tells why there is nothing to wait for, and
    /// then the waiter is still the caller's.
    @inline(__always)
    package func park(_ waiter: Waiter, _ direction: Direction, of task: RunningTask) -> Wake? {
        let end = waitEnd(direction)
        side(direction) { $0.waitUntil.store(end, ordering: .releasing) }
        switch side(direction, { $0.install(waiter) }) {
        case .waits: break
        case .wasReady: return .ready
        case .occupied: return .refused
        }
        // What changed before the waiter was in its word found nobody to wake; what changes now does. A cancellation that
        // this read misses finds the waiter, because it changes the word (see Side.swift).
        let isOver =
            isClosed || task.isCancelled || failure != nil || isLoopClosed || deadline(direction).nanoseconds < end
        if isOver {
            // Who has taken it resumes it.
            return side(direction) { $0.takeBack(waiter) } ? .recheck : nil
        }
        if end != .max { arm(at: end) }
        return nil
    }

    /// Suspends the task until the direction's turn is its own; `.recheck` when something else came first, such as the
    /// deadline of the verb that it is for.
    package func waitForTurn(_ direction: Direction, for verb: Direction) async throws(SocketError) -> Wake {
        try register()
        let id = Turns.nextID()
        defer { acquireTurn() }
        return await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                switch joinQueue(direction, Turns.Entry(id: id, direction: direction, verb: verb, waiter: waiter)) {
                case .mine: return waiter.resume(.ready)
                case .closed: return waiter.resume(.recheck)
                case .busy: break
                }
                let end = deadline(verb)
                if Task.isCancelled || end.isPast || isLoopClosed {
                    leaveQueue(id)
                } else if end != .never {
                    arm(at: end.nanoseconds)
                }
            }
        } onCancel: {
            leaveQueue(id)
        }
    }
}
