public import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

// `Listener.serve` for datagrams: one task receives, and each sender has a session with a task of its own, in which `body`
// runs as if he were the only one. All of them belong to the loop that the socket is on.

extension DatagramSocket {
    /// Serves every sender at once: runs `body` for each, in a task of its own, with a session in which only his datagrams
    /// come.
    ///
    /// Waits, and returns when `stopReceiving()` or `close()` is called and the last session's task has ended, or when it is
    /// cancelled. A cancelled `serve` returns normally and leaves the socket open: the kernel goes on queueing datagrams, for
    /// another `serve` or a `receive`. Throws `.misuse` for a `limit` or a `queue` below 1 or an `idleTimeout` that is not
    /// above zero. A session begins with a sender's first datagram and ends when `body` returns; what it has not received
    /// then, but for that first one, begins the next. When he has been silent for `idleTimeout` (or at `limit` sessions,
    /// when he is the one that has been silent for longest), `receive` gives nil. `admits` is asked about each new sender.
    /// An error that `body` throws ends that session only, and goes to `onError` (unless it is given, to the trace).
    ///
    /// Memory is bounded whatever senders do: `limit` sessions, of each at most `queue` datagrams that were not received yet,
    /// of all together at most 8 MiB. What is beyond that is dropped, as the kernel does when its own queue is full. When as
    /// many bodies again as `limit` (or 64) go on though their sessions are over, no new session begins until one returns.
    @concurrent
    public func serve(
        on loops: EventLoopGroup? = nil, limit: Int = 10_000, idleTimeout: Duration? = .seconds(300), queue: Int = 64,
        admits: (@Sendable (SocketAddress) -> Bool)? = nil,
        onError: (@Sendable (DatagramSession, any Error) -> Void)? = nil,
        _ body: @escaping @Sendable (DatagramSession) async throws -> Void
    ) async throws(SocketError) {
        let wrong =
            SocketError.Cause.refusing("limit", limit) ?? .refusing("queue", queue)
            ?? .refusing("idleTimeout", idleTimeout)
        if let wrong { throw error(.receive, wrong) }
        let group: EventLoopGroup
        if let loops { group = loops } else { group = try EventLoopGroup.shared }
        // Its loops end with the last reference to it.
        defer { withExtendedLifetime(group) {} }
        // Bound to no loop yet, the socket is the first one's that waits for it.
        let loop = waitable.loop ?? group.next()
        let place = SessionTable.Place(
            socket: self, outbox: Outbox(), held: HeldBytes(limit: DatagramServer.mostHeldBytes), queue: queue)
        let server = DatagramServer(
            socket: self, loop: loop, outbox: place.outbox,
            table: SessionTable(place, limit: limit, idleTimeout: idleTimeout), limit: limit, admits: admits,
            onError: onError, body: body)
        try await whileServed(by: server, on: loop) { await server.run() }
    }
}

/// One `serve` under way.
final class DatagramServer: DatagramServing {
    static let mostHeldBytes = 8 << 20

    let socket: DatagramSocket
    let loop: EventLoop
    let outbox: Outbox
    let table: SessionTable
    let admits: (@Sendable (SocketAddress) -> Bool)?
    let onError: (@Sendable (DatagramSession, any Error) -> Void)?
    let body: @Sendable (DatagramSession) async throws -> Void
    /// Rung when there is a new session to expire some time, and at the end.
    private let change = Bell()
    private let hasEnded = Atomic<Bool>(false)
    /// Whether it takes no more senders, and ends with those that there are.
    private let isFinishing = Atomic<Bool>(false)
    /// Bodies under way: those of the sessions, and those whose session is over but who mind other things still. The second
    /// kind is bounded too; what a batch ends by itself is let be.
    private let bodies = Atomic<Int>(0)
    private let mostBodies: Int

    init(
        socket: DatagramSocket, loop: EventLoop, outbox: Outbox, table: SessionTable, limit: Int,
        admits: (@Sendable (SocketAddress) -> Bool)?, onError: (@Sendable (DatagramSession, any Error) -> Void)?,
        body: @escaping @Sendable (DatagramSession) async throws -> Void
    ) {
        self.socket = socket
        self.loop = loop
        self.outbox = outbox
        self.table = table
        self.admits = admits
        self.onError = onError
        self.body = body
        let (sum, overflow) = limit.addingReportingOverflow(max(limit, 2 * System.mostDatagrams))
        mostBodies = overflow ? .max : sum
    }

    var isOver: Bool { hasEnded.load(ordering: .acquiring) }

    /// No new sessions, and an end to those that there are. From any thread.
    func stop() {
        hasEnded.store(true, ordering: .sequentiallyConsistent)
        table.end()
        change.ring()
        socket.lookAgain()
    }

    /// No new sessions, and a shorter patience with those that there are. From any thread.
    func finish(afterSilence silence: Duration) {
        isFinishing.store(true, ordering: .sequentiallyConsistent)
        table.limitSilence(to: silence)
        change.ring()
    }

    /// Receives until the socket is closed or stopped, the task is cancelled, or it can never work again; then why, unless
    /// it was one of the first two. All sessions' tasks have ended by then.
    @concurrent
    func run() async -> SocketError? {
        await withDiscardingTaskGroup { tasks in
            tasks.addTask(executorPreference: self.loop) { await self.expireSessions() }
            var now: UInt64?
            let failure = await socket.receiveBatches(for: self) { datagram in
                let moment = now ?? System.now
                now = moment
                deliver(datagram, moment) { session in
                    tasks.addTask(executorPreference: self.loop) { await self.serve(session) }
                }
            } finishBatch: { _ in
                now = nil
                // With a trace each send is told of as it happens; a Unix receiver's full queue must hold up only his.
                if socket.trace == nil, socket.transport == .udp { outbox.open() }
                // The sessions answer before more is taken in: what they hold stays small.
                await Task.yield()
                await outbox.flush(on: socket)
            }
            if failure != nil { tasks.cancelAll() }
            return failure
        }
    }

    private func deliver(_ datagram: Datagram, _ now: UInt64, begin: (DatagramSession) -> Void) {
        let message = DatagramSession.Message(bytes: datagram.bytes, passage: datagram.passage)
        let found = table.session(of: datagram.sender, now: now) { sender in
            isFinishing.load(ordering: .acquiring) || socket.isOwn(sender, message.passage)
                || bodies.load(ordering: .relaxed) >= mostBodies
                || admits?(sender) == false
        }
        guard let (session, isNew) = found else { return }
        guard isNew else { return session.put(message) }
        session.begin(with: message)
        bodies.wrappingAdd(1, ordering: .relaxed)
        begin(session)
        change.ring()
    }

    private func serve(_ first: DatagramSession) async {
        defer { bodies.wrappingSubtract(1, ordering: .relaxed) }
        var next: DatagramSession? = first
        while let session = next {
            session.setServedTask(RunningTask.current.number)
            do {
                try await body(session)
            } catch {
                if let onError {
                    onError(session, error)
                } else {
                    socket.trace?.tell(.clientFailed("\(error)"), of: socket.waitable.rawValue, session.remoteAddress)
                }
            }
            session.setServedTask(0)
            let successor = table.succeed(session)
            if isFinishing.load(ordering: .acquiring) { change.ring() }
            // Who can neither wait nor answer any more need not begin.
            next = Task.isCancelled || socket.isClosed ? nil : successor
        }
    }

    /// Sleeps until the next session may be over, until the end.
    private func expireSessions() async {
        while !isOver {
            let next = table.expire(now: System.now)
            if isFinishing.load(ordering: .acquiring), table.count == 0 { return socket.stopReceiving() }
            guard let hasRung = try? await change.wait(until: next, .receive) else { return }
            // A loop that is late has first to look at what came meanwhile.
            if !hasRung, (try? await change.wait(until: .after(.milliseconds(1)), .receive)) == nil { return }
        }
    }
}
