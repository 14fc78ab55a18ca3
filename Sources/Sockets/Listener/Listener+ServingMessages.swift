public import Loops
public import SocketCore

extension Listener {
    /// Serves every client at once, message by message: calls `body` with each message that comes, which is what one
    /// `receive(upTo: size)` gives. A client that is silent has no task and no thread, and costs only its connection: this
    /// is for those who have very many of them. `serve` is easier to write for.
    ///
    /// Waits, and returns, as `serve` does. The messages of a client come in order, the next one when `body` has returned;
    /// `body` may wait, send, and receive more, and the other clients are served meanwhile. What is to be kept of a client
    /// from one message to the next is up to the caller.
    ///
    /// A client ends when it has finished sending, when `body` has closed it (`finishAndClose()` lets it get all that was
    /// sent), or when something failed: `body` threw, the client was silent for `idleTimeout`, the network broke. The error
    /// goes to `onError`, or unless it is given to the trace. `onOpen` is called before the first message, and may send; if
    /// it throws, that ends the client. `onClose` is called for each client when it has been closed, as the last, with the
    /// error that ended it if there was one. `limit`, `onShortage` and `onFull` are as in `serve`.
    ///
    /// A `body` that computes for long holds up all clients of its loop; `serve` says where to compute instead. Throws
    /// `.misuse` for a `size` or a `limit` below 1 or an `idleTimeout` that is not above zero, and `SocketError` when
    /// accepting can never work again. Corresponds to `recv(2)` for each message.
    @concurrent
    public func serveMessages(
        upTo size: Int = 65536, on loops: EventLoopGroup? = nil, limit: Int = .max, idleTimeout: Duration? = nil,
        onOpen: (@Sendable (Connection) async throws -> Void)? = nil,
        onClose: (@Sendable (Connection, (any Error)?) -> Void)? = nil,
        onError: (@Sendable (Connection, any Error) -> Void)? = nil,
        onShortage: (@Sendable (SocketError) -> Void)? = nil, onFull: (@Sendable () -> Void)? = nil,
        _ body: @escaping @Sendable (Connection, [UInt8]) async throws -> Void
    ) async throws(SocketError) {
        if let wrong = SocketError.Cause.refusing("size", size) { throw error(.receive, wrong) }
        let arrivals = try Arrivals(
            self, loops, limit: limit, idleTimeout: idleTimeout, onShortage: onShortage, onFull: onFull)
        let server = MessageServer(
            arrivals: arrivals, size: size, idleTimeout: idleTimeout, onOpen: onOpen, onClose: onClose,
            onError: onError, body: body)
        try await arrivals.whileServed { await server.run() }
    }
}

/// One `serveMessages` under way.
private final class MessageServer: Sendable {
    let arrivals: Arrivals
    let size: Int
    /// In nanoseconds.
    let idleLimit: UInt64
    let onOpen: (@Sendable (Connection) async throws -> Void)?
    let onClose: (@Sendable (Connection, (any Error)?) -> Void)?
    let onError: (@Sendable (Connection, any Error) -> Void)?
    let body: @Sendable (Connection, [UInt8]) async throws -> Void

    /// So many messages of one client, and so many in all, then a look at the sockets: who always has something to say must
    /// not starve the others.
    private static let messagesInARow = 32
    private static let messagesPerLook = 128

    init(
        arrivals: Arrivals, size: Int, idleTimeout: Duration?,
        onOpen: (@Sendable (Connection) async throws -> Void)?,
        onClose: (@Sendable (Connection, (any Error)?) -> Void)?,
        onError: (@Sendable (Connection, any Error) -> Void)?,
        body: @escaping @Sendable (Connection, [UInt8]) async throws -> Void
    ) {
        self.arrivals = arrivals
        self.size = size
        idleLimit = Waitable.idleLimit(idleTimeout)
        self.onOpen = onOpen
        self.onClose = onClose
        self.onError = onError
        self.body = body
    }

    /// Accepts until the listener is closed, the task is cancelled, or it can never work again; then why, unless it was
    /// one of the first two. All clients have ended by then, and all workers.
    @concurrent
    func run() async -> SocketError? {
        await withDiscardingTaskGroup { tasks in
            let crews = arrivals.group.loops.map { Crew($0) }
            for (number, crew) in crews.enumerated() {
                tasks.addTask(executorPreference: crew.loop) { await self.hire(for: crew, number) }
            }
            defer { for crew in crews { crew.close() } }
            do throws(SocketError) {
                while let (client, loop) = try await arrivals.next() { crews[loop].enter(client) }
                return nil
            } catch {
                tasks.cancelAll()
                arrivals.group.recheckAll()
                return error
            }
        }
    }

    /// Starts a worker whenever all others are busy, until there are no more clients. Only who runs a group can add to it.
    private func hire(for crew: Crew, _ number: Int) async {
        await withDiscardingTaskGroup { workers in
            while true {
                let count = await crew.orders()
                if count == 0 { return }
                for _ in 0..<count {
                    workers.addTask(executorPreference: crew.loop) { await self.work(for: crew, number) }
                }
            }
        }
    }

    /// A worker: takes up one client after another.
    private func work(for crew: Crew, _ number: Int) async {
        var wasCalled = true
        var messages = 0
        while true {
            while let ready = crew.takeNext(wasCalled: wasCalled) {
                wasCalled = false
                await serve(ready, crew, number, &messages)
                if messages >= Self.messagesPerLook {
                    messages = 0
                    await crew.letOthersRun()
                }
            }
            guard await crew.rest() else { return }
            wasCalled = true
            messages = 0
        }
    }

    /// Serves a client until it waits or ends, or others are to have their turn.
    @inline(__always)
    private func serve(_ ready: Crew.Ready, _ crew: Crew, _ number: Int, _ messages: inout Int) async {
        let client = ready.client
        var wake: Wake?
        var inARow = 0
        do {
            switch ready.reason {
            case .isNew:
                client.waitable.setIdleLimit(idleLimit)
                client.waitable.adopt(crew.loop)
                client.waitable.setServedTask(RunningTask.current.number)
                try await onOpen?(client)
                if client.isClosed { return end(client, nil, crew, number) }
                try await client.takeReceiveTurn()
            case .wasWoken(let woken): wake = woken
            case .mayHaveMore: break
            }
            while true {
                switch try client.receiveOrPark(upTo: size, wokenBy: wake, with: crew) {
                case .parked: return
                case .finished:
                    client.waitable.setServedTask(RunningTask.current.number)
                    if !client.hasPeerFinished { await client.finishAndClose() }
                    return end(client, nil, crew, number)
                case .came(let message):
                    client.waitable.setServedTask(RunningTask.current.number)
                    try await body(client, message)
                }
                wake = nil
                if client.isClosed { return end(client, nil, crew, number) }
                try await client.takeReceiveTurn()
                messages += 1
                if client.isKnownToBeEmpty { continue }
                if crew.addBehindOthers(client) { return }
                inARow += 1
                if inARow % Self.messagesInARow == 0 {
                    messages = 0
                    await crew.letOthersRun()
                    if crew.addBehindOthers(client) { return }
                }
            }
        } catch {
            end(client, error, crew, number)
        }
    }

    private func end(_ client: Connection, _ failure: (any Error)?, _ crew: Crew, _ number: Int) {
        client.endServing(failure, onError)
        onClose?(client, failure)
        arrivals.clients.leave(number)
        crew.leave()
    }
}
