internal import SocketCore

/// The peer that `connect` or `listen` is joined to at the moment. The joining thread sets it; the main thread asks.
final class CurrentJoin: Sendable {
    private struct State {
        var join: (any Join)?
        var hasJoined = false
        /// Whether no peer may be joined any more.
        var isOver = false
    }
    private let state = Lock(State())

    /// Whether a peer is joined, or was.
    var hasJoined: Bool { state.withLock { $0.hasJoined } }

    /// Lets no further peer be joined. Gives the one that is.
    func stop() -> (any Join)? {
        state.withLock { state in
            state.isOver = true
            return state.join
        }
    }

    /// Joins one peer to its end, and reports that. `make` may start a program, so it is not called once the command is
    /// over; `unused` drops what came too late.
    ///
    /// Blocks the thread. Where it fails, `failed` is called before the peer is reported as closed.
    func run(
        _ make: () throws(Failure) -> any Join, unused: () -> Void = {},
        failed: (any Join, Failure) -> Void = { _, _ in }
    ) throws(Failure) {
        let found = try state.withLock { (state) throws(Failure) -> (any Join)? in
            guard !state.isOver else { return nil }
            state.join = try make()
            state.hasJoined = true
            return state.join
        }
        guard let join = found else { return unused() }
        defer {
            join.account.closed()
            state.withLock { $0.join = nil }
        }
        do throws(Failure) {
            try join.run()
        } catch {
            failed(join, error)
            throw error
        }
    }

    /// The command ends now: the peer that is still joined is cut off.
    func abandon() {
        let join = state.withLock { state in
            state.isOver = true
            defer { state.join = nil }
            return state.join
        }
        join?.cut()
        join?.account.closed()
    }
}
