internal import CSockets
public import SocketCore
internal import Synchronization

/// Some event loops that share the work: a server hands its clients to them evenly.
///
/// `close()` ends the loops and waits for their threads. A group that is let go without a close ends them too, as a safety
/// net, and does not wait: whatever still waits in them then fails with `.closed`. So keep the group for as long as its loops
/// are needed.
public final class EventLoopGroup: Sendable {
    /// The loops, in the order they were started.
    public let loops: [EventLoop]
    private let turn = Atomic<Int>(0)

    /// How many processors this process may use (`sched_getaffinity(2)`).
    public static var processors: Int { max(1, Int(csockets_processors())) }

    /// The loops that everything uses unless it is told otherwise: one for each processor, started when first used, never
    /// ended.
    ///
    /// Throws `SocketError` when they cannot start for want of descriptors or threads; the next use tries again.
    public static var shared: EventLoopGroup {
        get throws(SocketError) {
            try started.withLock { (started) throws(SocketError) in
                if let started { return started }
                let group = try EventLoopGroup(loops: processors, name: "pier", preempts: true, isCounted: false)
                started = group
                return group
            }
        }
    }
    private static let started = Lock<EventLoopGroup?>(nil)

    /// Starts a number of loops; `close()` ends them.
    ///
    /// Loops that do not preempt wait for their turn on a busy processor when they wake (`SCHED_BATCH`, `sched(7)`). Who
    /// sends to several of their sockets is then not interrupted at the first, and one look finds all that was sent: less
    /// processor time for a message where loops share processors with who sends to them. Beside many threads that compute,
    /// they wait longer. Threads and programs that their jobs start inherit the policy, but for those of `ChildProcess`.
    ///
    /// Throws `SocketError` when the system has no descriptors or threads left, and `.misuse` for less than one loop; nothing
    /// is left running then.
    public convenience init(loops count: Int, name: String = "loop", preempts: Bool = true) throws(SocketError) {
        try self.init(loops: count, name: name, preempts: preempts, isCounted: true)
    }

    /// What is not counted outlives the test that happened to start it.
    private init(loops count: Int, name: String, preempts: Bool, isCounted: Bool) throws(SocketError) {
        if let wrong = SocketError.Cause.refusing("the number of loops", count) { throw SocketError(.loop, wrong) }
        var started: [EventLoop] = []
        do throws(SocketError) {
            for index in 0..<count {
                started.append(try EventLoop(name: "\(name)-\(index)", preempts: preempts, isCounted: isCounted))
            }
        } catch {
            for loop in started { loop.close() }
            throw error
        }
        loops = started
    }

    // The last reference may go anywhere, also in a job of one of the loops: so nothing is joined here.
    deinit { for loop in loops { loop.letGo() } }

    /// The loop whose turn it is, all in turn.
    public func next() -> EventLoop {
        let index = turn.wrappingAdd(1, ordering: .relaxed).oldValue
        return loops[Int(UInt(bitPattern: index) % UInt(loops.count))]
    }

    /// Has everything that waits in the loops look whether its task was cancelled.
    package func recheckAll() {
        for loop in loops {
            _ = loop.execute { for waitable in loop.local.pointee.registry.all { waitable.recheck() } }
        }
    }

    /// Ends the loops: whatever waits in them fails with `.closed`, and their threads are joined. Idempotent.
    ///
    /// Blocks the thread until the loops' jobs have run out. Corresponds to `pthread_join(3)`.
    public func close() {
        for loop in loops { loop.close() }
    }

    /// Starts loops, runs `body` on the first of them, and ends them, however `body` ends.
    ///
    /// Waits for `body`, and then blocks until the loops' jobs have run out. Throws what `body` throws, or `SocketError` when the loops cannot start.
    @concurrent
    public static func run<R: Sendable>(
        loops count: Int = processors, _ body: @Sendable @concurrent (EventLoopGroup) async throws -> R
    ) async throws -> R {
        let group = try EventLoopGroup(loops: count)
        // Back on the caller's executor by then, so that the threads can be joined.
        defer { group.close() }
        return try await withTaskExecutorPreference(group.loops[0]) { try await body(group) }
    }
}
