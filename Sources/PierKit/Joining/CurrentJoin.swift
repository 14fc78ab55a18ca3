internal import SocketCore

/// Whom `connect` or `listen` has joined at the moment. The thread that joins sets it, and the main thread asks.
final class CurrentJoin: Sendable {
    private let state = Lock((join: (any Join)?.none, isOver: false))

    /// Nil while nobody is joined.
    var join: (any Join)? { state.withLock { $0.join } }

    /// Joins one peer to its end, and tells of that. `make` may start a program, so nothing is made once the command is over.
    ///
    /// Blocks the thread. `told` is called where it fails, before it is told that it is closed.
    func run(
        _ make: () throws(Failure) -> any Join, told: (any Join, Failure) -> Void = { _, _ in }
    ) throws(Failure) {
        let join = try state.withLock { (state) throws(Failure) -> (any Join)? in
            guard !state.isOver else { return nil }
            state.join = try make()
            return state.join
        }
        guard let join else { return }
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
            defer { state = (nil, true) }
            return state.join
        }
        join?.abandon()
        join?.account.closed()
    }
}
