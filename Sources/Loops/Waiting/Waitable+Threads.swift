package import SocketCore
internal import Synchronization
package import SystemPackage

// How a thread waits: it polls the socket and its own parker. No loop is needed, and none is started.

extension Waitable {
    /// Blocks the thread until the socket is ready in a direction, or something else changed. The caller has the turn.
    package func waitBlocking(for direction: Direction) throws(Errno) -> Wake {
        let parker = try Parker.current()
        let waiter = Waiter(parker)
        let end = waitEnd(direction)
        side(direction) { $0.waitUntil.store(end, ordering: .releasing) }
        switch side(direction, { $0.install(waiter) }) {
        case .waits: break
        case .wasReady: return .ready
        case .occupied: return .refused
        }
        if isClosed || deadline(direction).nanoseconds < end {
            return side(direction) { $0.takeBack(waiter) } ? .recheck : parker.awaitUnpark()
        }
        while true {
            let outcome: Parker.Outcome
            do throws(Errno) {
                outcome = try parker.park(on: rawValue, direction, until: end)
            } catch {
                if !side(direction, { $0.takeBack(waiter) }) { _ = parker.awaitUnpark() }
                throw error
            }
            switch outcome {
            case .woken(let wake): return wake
            case .interrupted: continue
            case .ready: return side(direction) { $0.takeBack(waiter) } ? .ready : parker.awaitUnpark()
            case .timedOut: return side(direction) { $0.takeBack(waiter) } ? .recheck : parker.awaitUnpark()
            }
        }
    }

    /// Blocks the thread until the direction's turn is its own; `.recheck` when something else came first, such as the
    /// deadline of the verb that it is for.
    package func waitForTurnBlocking(_ direction: Direction, for verb: Direction) throws(Errno) -> Wake {
        let parker = try Parker.current()
        let id = Turns.nextID()
        let entry = Turns.Entry(id: id, direction: direction, verb: verb, waiter: Waiter(parker))
        switch joinQueue(direction, entry) {
        case .mine: return .ready
        case .closed: return .recheck
        case .busy: break
        }
        while true {
            let outcome: Parker.Outcome
            do throws(Errno) {
                outcome = try parker.park(on: nil, direction, until: deadline(verb).nanoseconds)
            } catch {
                leaveQueue(id)
                if parker.awaitUnpark() == .ready { giveTurn(direction) }
                throw error
            }
            if case .woken(let wake) = outcome { return wake }
            // Out of the queue by our own hand or by another's: either way it is told.
            if case .timedOut = outcome { leaveQueue(id) }
        }
    }
}
