internal import Loops
internal import SocketCore
internal import SystemPackage

/// The clients that a server accepts, one after another, up to its limit; shared by all ways to serve them.
final class Arrivals: Sendable {
    let listener: Listener
    let group: EventLoopGroup
    let clients: ClientCount
    private let onShortage: (@Sendable (SocketError) -> Void)?
    private let onFull: (@Sendable () -> Void)?

    init(
        _ listener: Listener, _ loops: EventLoopGroup?, limit: Int, idleTimeout: Duration?,
        onShortage: (@Sendable (SocketError) -> Void)?, onFull: (@Sendable () -> Void)?
    ) throws(SocketError) {
        let wrong = SocketError.Cause.refusing("limit", limit) ?? .refusing("idleTimeout", idleTimeout)
        if let wrong { throw listener.error(.accept, wrong) }
        self.listener = listener
        if let loops { group = loops } else { group = try EventLoopGroup.shared }
        clients = ClientCount(limit: limit, loops: group.loops.count)
        self.onShortage = onShortage
        self.onFull = onFull
    }

    /// Runs a server of these clients on one of the loops, so that closing the listener and cancelling the task reach it;
    /// throws why it failed.
    func whileServed(by run: @Sendable () async -> SocketError?) async throws(SocketError) {
        listener.servers.withLock { $0.append(clients) }
        defer { listener.servers.withLock { $0.removeAll { $0 === clients } } }
        let failure = await withTaskCancellationHandler {
            await withTaskExecutorPreference(group.next()) { await run() }
        } onCancel: {
            // The clients' tasks are cancelled with this one, and those that wait must be woken to find it. Once for all of
            // them: a handler for each would cost more than a parked client's other frames.
            group.recheckAll()
        }
        if let failure { throw failure }
    }

    /// Counts a client out that was served on a loop; on none if the loops had been closed.
    func leave(from loop: EventLoop?) {
        clients.leave(group.loops.firstIndex { $0 === loop })
    }

    /// The next client, counted in, and the number of the loop that is to have it; nil when the listener is closed or the
    /// task is cancelled.
    ///
    /// Waits for a client, for room below the limit, and for descriptors. Throws when accepting can never work again.
    func next() async throws(SocketError) -> (client: Connection, loop: Int)? {
        var shortage = Shortage()
        while true {
            do throws(SocketError) {
                while clients.isFull {
                    if listener.waitable.isClosed { return nil }
                    onFull?()
                    try await clients.waitForChange(until: .never)
                }
                let client = try await listener.accept()
                return (client, clients.enter())
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
                    throw error
                }
            }
        }
    }
}

extension Connection {
    /// Ends a client that has been served: tells of the error that ended it, if one did, and closes.
    func endServing(_ failure: (any Error)?, _ onError: (@Sendable (Connection, any Error) -> Void)?) {
        // The task's number may be another's as soon as it has ended.
        waitable.setServedTask(nil)
        if let failure {
            if let onError {
                onError(self, failure)
            } else {
                trace?.tell(.clientFailed("\(failure)"), of: waitable.rawValue, remoteAddress)
            }
        }
        close()
    }
}
