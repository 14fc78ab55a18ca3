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
    /// cancelled. A session begins with a sender's first datagram and ends when `body` returns; what it has not received
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
        let group: EventLoopGroup
        if let loops { group = loops } else { group = try EventLoopGroup.shared }
        // Bound to no loop yet, the socket is the first one's that waits for it.
        let loop = waitable.loop ?? group.next()
        let place = SessionTable.Place(
            socket: self, outbox: Outbox(), held: HeldBytes(limit: DatagramServer.mostHeldBytes), queue: queue)
        let server = DatagramServer(
            socket: self, loop: loop, outbox: place.outbox,
            table: SessionTable(place, limit: limit, idleTimeout: idleTimeout), limit: limit, admits: admits,
            onError: onError, body: body)
        let isFirst = self.server.withLock { current in
            guard current == nil else { return false }
            current = server
            return true
        }
        guard isFirst else { throw error(.receive, .misuse("this socket is being served already")) }
        defer { self.server.withLock { $0 = nil } }
        let failure = await withTaskCancellationHandler {
            await withTaskExecutorPreference(loop) { await server.run() }
        } onCancel: {
            server.stop()
        }
        if let failure { throw failure }
    }
}

/// One `serve` under way.
final class DatagramServer: Sendable {
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
    private let isOver = Atomic<Bool>(false)
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
        let (sum, overflow) = max(1, limit).addingReportingOverflow(max(limit, 2 * System.mostDatagrams))
        mostBodies = overflow ? .max : sum
    }

    /// No new sessions, and an end to those that there are. From any thread.
    func stop() {
        isOver.store(true, ordering: .sequentiallyConsistent)
        table.end()
        change.ring()
        // Has the receiving task look.
        socket.waitable.setDeadline(socket.waitable.deadline(.receive), .receive)
    }

    /// Receives until the socket is closed or stopped, the task is cancelled, or it can never work again; then why, unless
    /// it was one of the first two. All sessions' tasks have ended by then.
    @concurrent
    func run() async -> SocketError? {
        await withDiscardingTaskGroup { tasks in
            tasks.addTask(executorPreference: self.loop) { await self.expireSessions() }
            var failure: SocketError?
            while failure == nil, !isOver.load(ordering: .acquiring) {
                do throws(SocketError) {
                    var now: UInt64?
                    _ = try await socket.receiveBatch { sender, message in
                        let now =
                            now
                            ?? {
                                now = System.now; return now ?? 0
                            }()
                        deliver(message, from: sender, now) { session in
                            tasks.addTask(executorPreference: self.loop) { await self.serve(session) }
                        }
                    }
                    // With a trace each send is told of as it happens; a Unix receiver's full queue must hold up only his.
                    if socket.trace == nil, socket.transport == .udp { outbox.open() }
                    // The sessions answer before more is taken in: what they hold stays small.
                    await Task.yield()
                    await outbox.flush(on: socket)
                } catch {
                    switch error.cause {
                    case .closed, .cancelled: stop()
                    case .system(let errno) where errno.isOfASentDatagram: continue
                    // It passes.
                    case .system(let errno) where errno.isShortage: try? await EventLoop.sleep(for: .milliseconds(5))
                    default: failure = error
                    }
                }
            }
            stop()
            if failure != nil { tasks.cancelAll() }
            return failure
        }
    }

    private func deliver(
        _ message: DatagramSession.Message, from sender: SocketAddress, _ now: UInt64,
        begin: (DatagramSession) -> Void
    ) {
        let found = table.session(of: sender, now: now) { sender in
            socket.isOwn(sender, message.passage) || bodies.load(ordering: .relaxed) >= mostBodies
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
            // Who can neither wait nor answer any more need not begin.
            next = Task.isCancelled || socket.isClosed ? nil : successor
        }
    }

    /// Sleeps until the next session may be over, until the end.
    private func expireSessions() async {
        while !isOver.load(ordering: .acquiring) {
            let next = table.expire(now: System.now)
            guard (try? await change.wait(until: next, .receive)) != nil else { return }
        }
    }
}

extension DatagramSocket {
    /// Receives all that one system call gets, at least one datagram, and hands each on.
    fileprivate func receiveBatch(
        _ take: (SocketAddress, DatagramSession.Message) -> Void
    ) async throws(SocketError) -> Int {
        try await perform(.receive, .receive, outcome: { .datagrams($0) }) { (fd) throws(Errno) in
            var count = 0
            while let held = ahead.take(upTo: .max) {
                take(held.sender, DatagramSession.Message(bytes: held.bytes, passage: held.passage))
                count += 1
            }
            if count > 0 { return .done(count) }
            return try attemptReceiveBatch(fd) { received in
                let bytes = Array(received.bytes.bindMemory(to: UInt8.self))
                take(received.sender, DatagramSession.Message(bytes: bytes, passage: received.passage))
            }
        }
    }
}
