public import Loops
public import SocketCore

// The answer to the tutorial's last sentence
//
// One task accepts. Each client gets a task of its own, in which `body` runs as if the client were the only one, and each
// of these tasks belongs to one of the event loops: where `body` waits, the loop's thread goes on with another client.
//
// The tasks are children of the one that called `serve`. So nothing outlives it, and cancelling it cancels them all.
//
// What runs on the loop's thread. A client's task prefers its loop as executor, and Swift runs most of what the task calls
// there (SE-0417):
//
// - Stay on the loop: async functions, `@concurrent` ones too; `async let` and the children of a task group; actors
//   without an executor of their own; `withTaskExecutorPreference(nil)`, which changes nothing.
// - Leave it: `withTaskExecutorPreference(globalConcurrentExecutor)` and other executors; `Task` and `Task.detached`, which
//   do not inherit the preference (and are not cancelled with the client); the main actor, and actors with an executor.

extension Listener {
    /// Serves every client at once: runs `body` for each, in a task of its own on one of the event loops.
    ///
    /// Waits, and returns when the listener is closed and the last client's task has ended, or when it is cancelled, which
    /// ends the clients' tasks too. A cancelled `serve` returns normally and leaves the listener open: new clients still
    /// connect and queue. Serve them by another `serve`, or call `close()`, which resets them. When `body` returns, the
    /// connection is closed so that the peer gets all that was sent. When it throws, that client's connection alone is
    /// closed, and the error goes to `onError` (unless it is given, to the trace). At `limit` clients the others queue;
    /// without one, as many are served as there are descriptors. When these run out the clients queue likewise,
    /// `onShortage` is told once, and accepting goes on when there are some. `onFull` is told whenever the limit is
    /// reached. Throws `.misuse` for a `limit` below 1 or an `idleTimeout` that is not above zero, and `SocketError` when
    /// accepting can never work again.
    ///
    /// A `body` that computes for long, or blocks its thread, holds up all clients of its loop. Let it compute on the threads
    /// of Swift's global pool, and come back to the loop after that (`Snippets/Computing.swift`):
    ///
    ///     let answer = await withTaskExecutorPreference(globalConcurrentExecutor) { await compute(question) }
    ///
    /// `compute` is an async function; a plain call in the closure moves too. `@concurrent` alone, an actor, and
    /// `withTaskExecutorPreference(nil)` stay on the loop.
    @concurrent
    public func serve(
        on loops: EventLoopGroup? = nil, limit: Int = .max, idleTimeout: Duration? = nil,
        onError: (@Sendable (Connection, any Error) -> Void)? = nil,
        onShortage: (@Sendable (SocketError) -> Void)? = nil, onFull: (@Sendable () -> Void)? = nil,
        _ body: @escaping @Sendable (Connection) async throws -> Void
    ) async throws(SocketError) {
        let arrivals = try Arrivals(
            self, loops, limit: limit, idleTimeout: idleTimeout, onShortage: onShortage, onFull: onFull)
        let server = Server(arrivals: arrivals, idleTimeout: idleTimeout, onError: onError, body: body)
        try await arrivals.whileServed { await server.run() }
    }
}

/// One `serve` under way.
private final class Server: Sendable {
    let arrivals: Arrivals
    /// In nanoseconds.
    let idleLimit: UInt64
    let onError: (@Sendable (Connection, any Error) -> Void)?
    let body: @Sendable (Connection) async throws -> Void

    init(
        arrivals: Arrivals, idleTimeout: Duration?, onError: (@Sendable (Connection, any Error) -> Void)?,
        body: @escaping @Sendable (Connection) async throws -> Void
    ) {
        self.arrivals = arrivals
        idleLimit = Waitable.idleLimit(idleTimeout)
        self.onError = onError
        self.body = body
    }

    /// Accepts until the listener is closed, the task is cancelled, or it can never work again; then why, unless it was
    /// one of the first two. All clients' tasks have ended by then.
    @concurrent
    func run() async -> SocketError? {
        // An ordinary group would keep each ended client until the end. And one whose children cannot throw would give each of
        // them an adapter to one that can, which is 48 bytes a client.
        let failure = try? await withThrowingDiscardingTaskGroup { tasks -> SocketError? in
            do throws(SocketError) {
                while let (connection, loop) = try await arrivals.next() {
                    tasks.addTask(executorPreference: arrivals.group.loops[loop]) { await self.serve(connection) }
                }
                return nil
            } catch {
                tasks.cancelAll()
                arrivals.group.recheckAll()
                return error
            }
        }
        return failure ?? nil
    }

    // A parked client costs what its frames cost. So this has no frame of its own, and what need not wait stays out of the
    // frame that it is in.
    @inline(__always)
    private func serve(_ connection: Connection) async {
        begin(connection)
        do {
            try await body(connection)
            if !connection.hasPeerFinished { await connection.finishAndClose() }
            end(connection, nil)
        } catch {
            end(connection, error)
        }
    }

    @inline(never)
    private func begin(_ connection: Connection) {
        connection.waitable.setIdleLimit(idleLimit)
        if let loop = EventLoop.current { connection.waitable.adopt(loop) }
        connection.waitable.setServedTask(RunningTask.current.number)
    }

    @inline(never)
    private func end(_ connection: Connection, _ failure: (any Error)?) {
        connection.endServing(failure, onError)
        arrivals.leave(from: connection.waitable.loop)
    }
}
