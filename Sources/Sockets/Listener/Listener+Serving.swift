public import Loops
public import SocketCore

// The answer to the tutorial's last sentence
//
// One task accepts. Each client gets a task of its own, in which `body` runs as if the client were the only one, and each
// of these tasks belongs to one of the event loops: where `body` waits, the loop's thread goes on with another client.
//
// The tasks are children of the one that called `serve`. So nothing outlives it, and cancelling it cancels them all.

extension Listener {
    /// Serves every client at once: runs `body` for each, in a task of its own on one of the event loops.
    ///
    /// Waits, and returns when the listener is closed and the last client's task has ended, or when it is cancelled, which
    /// ends the clients' tasks too. When `body` returns, the connection is closed so that the peer gets all that was sent.
    /// When it throws, that client's connection alone is closed, and the error goes to `onError` (unless it is given, to
    /// the trace). At `limit` clients the others queue; without one, as many are served as there are descriptors. When
    /// these run out the clients queue likewise, `onShortage` is told once, and accepting goes on when there are some.
    /// `onFull` is told whenever the limit is reached.
    ///
    /// A `body` that computes for long holds up all clients of its loop. Let it compute elsewhere, with
    /// `withTaskExecutorPreference(nil)` or `Task.detached`.
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
