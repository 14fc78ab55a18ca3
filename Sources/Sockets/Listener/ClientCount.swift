internal import Loops
internal import SocketCore

/// How many clients a `serve` has, on each loop and in all, and the accept loop's wait for room.
final class ClientCount: Sendable {
    private struct State {
        var all = 0
        var byLoop: [Int]
    }

    let limit: Int
    private let state: Lock<State>
    private let bell = Bell()

    init(limit: Int, loops: Int) {
        self.limit = max(1, limit)
        state = Lock(State(byLoop: Array(repeating: 0, count: loops)))
    }

    /// Counts a client in; gives the number of the loop that has the fewest.
    func enter() -> Int {
        state.withLock { state in
            state.all += 1
            var least = 0
            for index in state.byLoop.indices where state.byLoop[index] < state.byLoop[least] { least = index }
            state.byLoop[least] += 1
            return least
        }
    }

    /// Counts a client of a loop out. Out of line, for the sake of its caller's frame.
    @inline(never)
    func leave(_ loop: Int) {
        let wasFull = state.withLock { state in
            state.byLoop[loop] -= 1
            state.all -= 1
            return state.all == limit - 1
        }
        if wasFull { bell.ring() }
    }

    /// Has the waiting accept loop look again: the listener was closed.
    func ring() { bell.ring() }

    var isFull: Bool { state.withLock { $0.all >= limit } }

    /// Waits until a client leaves, the bell is rung for another reason, or the time has come.
    func waitForChange(until deadline: Deadline) async throws(SocketError) {
        _ = try await bell.wait(until: deadline, .accept)
    }
}
