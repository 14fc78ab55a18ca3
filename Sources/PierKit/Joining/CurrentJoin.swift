internal import SocketCore

/// Whom `connect` or `listen` has joined at the moment. The thread that joins sets it, and the main thread asks.
final class CurrentJoin: Sendable {
    private struct State {
        var join: (any Join)?
        var hasInput = true
        var isOver = false
    }
    private let state = Lock(State())

    var isJoined: Bool { state.withLock { $0.join != nil } }

    /// The input has ended for who is joined, and for who is about to be. Gives who is joined.
    @discardableResult
    func stopInput() -> (any Join)? {
        let join = state.withLock { state in
            state.hasInput = false
            return state.join
        }
        join?.inputStopped()
        return join
    }

    /// Joins one peer to its end, and tells of that. `make` may start a program, so nothing is made once the command is over.
    ///
    /// Blocks the thread. `told` is called where it fails, before it is told that it is closed.
    func run(
        _ make: () throws(Failure) -> any Join, told: (any Join, Failure) -> Void = { _, _ in }
    ) throws(Failure) {
        let (found, hasInput) = try state.withLock { (state) throws(Failure) -> ((any Join)?, Bool) in
            guard !state.isOver else { return (nil, false) }
            state.join = try make()
            return (state.join, state.hasInput)
        }
        guard let join = found else { return }
        // The signal came before it was there to hear of it.
        if !hasInput { join.inputStopped() }
        defer {
            join.account.closed()
            state.withLock { $0.join = nil }
        }
        do throws(Failure) {
            try join.run()
        } catch {
            told(join, error)
            throw error
        }
    }

    /// The command ends: nobody is joined any more, and who is stays no longer.
    func abandon() {
        let join = state.withLock { state in
            state.isOver = true
            defer { state.join = nil }
            return state.join
        }
        join?.abandon()
        join?.account.closed()
    }
}
