public import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

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
        let group: EventLoopGroup
        if let loops { group = loops } else { group = try EventLoopGroup.shared }
        let clients = ClientCount(limit: limit, loops: group.loops.count)
        let server = Server(
            listener: self, group: group, clients: clients, idleTimeout: idleTimeout, onError: onError,
            onShortage: onShortage, onFull: onFull, body: body)
        servers.withLock { $0.append(clients) }
        defer { servers.withLock { $0.removeAll { $0 === clients } } }
        let failure = await withTaskCancellationHandler {
            await withTaskExecutorPreference(group.next()) { await server.run() }
        } onCancel: {
            // The clients' tasks are cancelled with this one, and those that wait must be woken to find it. Once for all of
            // them: a handler for each would cost more than a parked client's other frames.
            group.recheckAll()
        }
        if let failure { throw failure }
    }
}

/// One `serve` under way.
private final class Server: Sendable {
    let listener: Listener
    let group: EventLoopGroup
    let clients: ClientCount
    let idleTimeout: Duration?
    let onError: (@Sendable (Connection, any Error) -> Void)?
    let onShortage: (@Sendable (SocketError) -> Void)?
    let onFull: (@Sendable () -> Void)?
    let body: @Sendable (Connection) async throws -> Void

    init(
        listener: Listener, group: EventLoopGroup, clients: ClientCount, idleTimeout: Duration?,
        onError: (@Sendable (Connection, any Error) -> Void)?, onShortage: (@Sendable (SocketError) -> Void)?,
        onFull: (@Sendable () -> Void)?, body: @escaping @Sendable (Connection) async throws -> Void
    ) {
        self.listener = listener
        self.group = group
        self.clients = clients
        self.idleTimeout = idleTimeout
        self.onError = onError
        self.onShortage = onShortage
        self.onFull = onFull
        self.body = body
    }

    /// Accepts until the listener is closed, the task is cancelled, or it can never work again; then why, unless it was
    /// one of the first two. All clients' tasks have ended by then.
    @concurrent
    func run() async -> SocketError? {
        // An ordinary group would keep each ended client until the end.
        await withDiscardingTaskGroup { tasks in
            var shortage = Shortage()
            while true {
                do throws(SocketError) {
                    while clients.isFull {
                        if listener.waitable.isClosed { return nil }
                        onFull?()
                        try await clients.waitForChange(until: .never)
                    }
                    let connection = try await listener.accept()
                    shortage = Shortage()
                    let loop = clients.enter()
                    tasks.addTask(executorPreference: group.loops[loop]) { await self.serve(connection, on: loop) }
                } catch {
                    switch error.cause {
                    case .closed, .cancelled:
                        return nil
                    case .system(let errno) where errno.isShortage:
                        if shortage.isNew {
                            listener.trace?.tell(
                                .clientFailed("\(error)"), of: listener.waitable.rawValue, listener.address)
                            onShortage?(error)
                        }
                        try? await clients.waitForChange(until: .after(shortage.pause()))
                    default:
                        tasks.cancelAll()
                        group.recheckAll()
                        return error
                    }
                }
            }
        }
    }

    // A parked client costs what its frames cost. So this has no frame of its own, and what need not wait stays out of the
    // frame that it is in.
    @inline(__always)
    private func serve(_ connection: Connection, on loop: Int) async {
        begin(connection)
        do {
            try await body(connection)
            if !connection.hasPeerFinished { await connection.finishAndClose() }
            end(connection, nil)
        } catch {
            end(connection, error)
        }
        clients.leave(loop)
    }

    @inline(never)
    private func begin(_ connection: Connection) {
        connection.idleTimeout = idleTimeout
        if let loop = EventLoop.current { connection.waitable.adopt(loop) }
        connection.waitable.setServedTask(RunningTask.current.number)
    }

    @inline(never)
    private func end(_ connection: Connection, _ failure: (any Error)?) {
        // The task's number may be another's as soon as it has ended.
        connection.waitable.setServedTask(nil)
        if let failure {
            if let onError {
                onError(connection, failure)
            } else {
                connection.trace?.tell(
                    .clientFailed("\(failure)"), of: connection.waitable.rawValue, connection.remoteAddress)
            }
        }
        connection.close()
    }
}
