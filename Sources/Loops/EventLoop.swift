internal import CSockets
internal import DequeModule
package import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// One thread, one poller, many waiting tasks: where a socket's waits end and its tasks run on.
///
/// A loop is a `TaskExecutor`: a task that prefers it runs on its thread, and a wait in it resumes there without changing
/// threads. It takes turns: a number of jobs, then a look at the sockets (`epoll_wait(2)`), then some of the objects
/// that have more to do, then the timers that are due. Jobs run in the order they came, but for one that an event resumes: it
/// runs as the event is told. A job that computes for long holds up all others of its loop.
///
/// Who may touch what: `local` belongs to the loop's thread alone; all else is atomic or never changes.
public final class EventLoop: TaskExecutor, @unchecked Sendable {
    /// What belongs to the loop's thread.
    struct Local {
        var jobs = Deque<UnownedJob>()
        var timers = TimerHeap()
        var registry = Registry()
        /// Whether an event is being told, and no job runs: the job that it resumes may then run at once.
        var isTelling = false
        /// Objects to be called in this turn: they have more to do, and others were to come first.
        var called = Deque<Waiter>()
        /// Whether the jobs' turn is to end now.
        var looksNext = false
        /// Where a job receives before it knows how much there is. What is in it is nobody's after the job.
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: EventLoop.scratchSize, alignment: 16)
        /// CLOCK_MONOTONIC as of this turn.
        var now: UInt64 = System.now
    }

    /// So many jobs, then a look at the sockets: clients that always have something to do must not starve the others.
    static let jobsPerTurn = 128
    static let eventsPerTurn = 256
    static let callsPerTurn = 8

    /// The name of the thread.
    public let name: String
    /// Safety: touched on the loop's thread only (and in `init`, before there is one); a pointer, because a class's own
    /// properties would check their exclusivity at each access.
    let local: UnsafeMutablePointer<Local>
    let poller: Descriptor
    private let alarm: Descriptor
    let remote = RemoteQueue()
    /// Whether the loop is about to sleep or asleep, so that a push must ring.
    let isSleeping = Atomic<Bool>(false)
    let isClosing = Atomic<Bool>(false)
    let thread = Atomic<UInt>(0)
    let isJoined = Atomic<Bool>(false)
    let interposer: Interposer?
    /// Whether it takes the processor from another thread when it wakes.
    let preempts: Bool

    /// The tag of the alarm in the poller; a registered socket's tag is never this.
    static let alarmTag = UInt64.max

    /// Starts a loop and its thread.
    ///
    /// Throws `SocketError` when the system has no descriptor or no thread left. Corresponds to `epoll_create1(2)`,
    /// `eventfd(2)` and `pthread_create(3)`.
    package init(name: String, preempts: Bool = true, isCounted: Bool = true) throws(SocketError) {
        RuntimeLayout.check()
        self.name = name
        self.preempts = preempts
        interposer = isCounted ? Interposer.current : nil
        do throws(Errno) {
            poller = try System.epollCreate(isCounted: isCounted)
            alarm = try System.eventCounter(isCounted: isCounted)
            // Edge-triggered, so that a ring need not be read: each write is a new edge.
            try System.epollAdd(
                poller.rawValue, alarm.rawValue, events: Registry.edgeTriggered | Registry.readable, tag: Self.alarmTag)
        } catch {
            throw SocketError(.loop, .system(error))
        }
        local = .allocate(capacity: 1)
        local.initialize(to: Local())
        var started = pthread_t()
        let me = Unmanaged.passRetained(self)
        let code = pthread_create(&started, nil, loopThread, me.toOpaque())
        guard code == 0 else {
            me.release()
            throw SocketError(.loop, .system(Errno(rawValue: code)))
        }
        thread.store(UInt(started), ordering: .releasing)
    }

    deinit {
        local.pointee.scratch.deallocate()
        local.deinitialize(count: 1)
        local.deallocate()
    }

    // MARK: Who runs where

    /// The loop whose thread this is, if it is one's.
    public static var current: EventLoop? {
        csockets_current_loop().map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
    }

    /// A buffer of the loop whose thread this is, for use until the job waits; nil on other threads.
    package static var scratch: UnsafeMutableRawBufferPointer? {
        csockets_current_loop().map { loop in
            Unmanaged<EventLoop>.fromOpaque(loop).takeUnretainedValue().local.pointee.scratch
        }
    }

    package static let scratchSize = 65536

    /// Whether this thread is the loop's.
    package var isCurrent: Bool {
        csockets_current_loop() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Whether the loop has been closed; nothing can wait in it any more.
    package var isClosed: Bool {
        // As the write, because a wait looks at it after its waiter is in the word (see Side.swift).
        isClosing.load(ordering: .sequentiallyConsistent)
    }

    /// Ends the turn of the jobs with the one that runs now: it has done much without a wait, and others may have been
    /// waiting for their sockets meanwhile. On the loop's thread.
    package func lookNext() { local.pointee.looksNext = true }

    /// Calls an object (`Waiter(calling:)`) again after a look at the sockets. On the loop's thread.
    package func callNext(_ waiter: Waiter) { local.pointee.called.append(waiter) }

    /// Runs a job on the loop's thread, after the jobs that came before it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            guard local.pointee.isTelling else { return local.pointee.jobs.append(job) }
            // While its socket is fresh in the processor's caches, and without a turn through the queue.
            local.pointee.isTelling = false
            job.runSynchronously(on: asUnownedTaskExecutor())
            local.pointee.isTelling = true
        } else if remote.push(.job(job)) {
            ring()
        } else {
            // The loop has ended. The task must still come to its end, where others do.
            globalConcurrentExecutor.enqueue(job)
        }
    }

    /// Runs an action on the loop's thread, at once if this is it; false when the loop has ended.
    package func execute(_ action: @escaping () -> Void) -> Bool {
        if isCurrent {
            action()
            return true
        }
        guard remote.push(.action(action)) else { return false }
        ring()
        return true
    }

    private func ring() {
        if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { writeAlarm() }
    }

    func writeAlarm() {
        var one: UInt64 = 1
        // Only a full counter could fail, and then the loop is awake.
        _ = withUnsafeBytes(of: &one) { bytes in try? System.write(alarm.rawValue, bytes) }
    }
}

private func loopThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    // The thread's own reference; given back when it ends.
    Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}
