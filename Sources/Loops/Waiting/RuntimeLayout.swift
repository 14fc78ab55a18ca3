internal import CSockets
internal import SocketCore
internal import Synchronization

// What Pier assumes of the Swift runtime's data
//
// Two things here are no promise of the language. A continuation is a pointer to its task, so that a wait can be one word
// without an allocation; and a task keeps the address of its current frame at a known place, so that the frame can be
// fetched into the caches before the task runs. All of it is in this file, and all of it is checked once, before the first
// loop runs. Where a check fails, a slower way is taken: a continuation gets a box, and nothing is fetched. Both ways exist
// side by side (a waiter's word says which), so the answer may change at any moment.

/// What is assumed of the runtime's data, and whether it is so.
enum RuntimeLayout {
    typealias Continuation = UnsafeContinuation<Wake, Never>

    /// Where a task keeps the address of the frame that it goes on with, in bytes from its own address.
    static let frameOffset = 64

    /// False until the check has passed.
    private static let trust = Atomic<Bool>(false)

    /// Whether the runtime's data is as this file assumes.
    static var isTrusted: Bool { trust.load(ordering: .relaxed) }

    /// Checks the assumptions; the first loop does it.
    static func check() { _ = checked }
    private static let checked: Void = setTrusted(isAsAssumed())

    /// Has the slower way taken, or not, whatever the check has found: for tests.
    static func setTrusted(_ isTrusted: Bool) { trust.store(isTrusted, ordering: .relaxed) }

    // MARK: - Continuations

    /// A continuation as one word with its lowest four bits 0; nil where it needs a box.
    @inline(__always)
    static func word(of continuation: Continuation) -> UInt? {
        isTrusted ? bits(of: continuation) : nil
    }

    /// The continuation that `word(of:)` gave the word for.
    @inline(__always)
    static func continuation(_ word: UInt) -> Continuation? {
        guard isOneWord else { return nil }
        // Safety: the same size, and the bits of a continuation.
        return unsafeBitCast(word, to: Continuation.self)
    }

    private static var isOneWord: Bool { MemoryLayout<Continuation>.size == MemoryLayout<UInt>.size }

    @inline(__always)
    private static func bits(of continuation: Continuation) -> UInt? {
        guard isOneWord else { return nil }
        // Safety: the same size; `continuation` turns it back.
        return unsafeBitCast(continuation, to: UInt.self)
    }

    // MARK: - Tasks

    /// Fetches the frame that a suspended task goes on with into the caches.
    ///
    /// Safety: the task has not ended. What is read is an address; another value does no harm, since a prefetch never faults.
    static func prefetchFrame(of task: UnsafeRawPointer) {
        guard isTrusted else { return }
        let frame = task.load(fromByteOffset: frameOffset, as: UInt.self)
        csockets_prefetch(UnsafeRawPointer(bitPattern: frame &- 320), 768)
    }
}

// MARK: - The check

extension RuntimeLayout {
    /// Whether the runtime's data is as assumed, by a look at a task that is made for it. Its frame is looked for at
    /// `frameOffset`.
    ///
    /// Safe whatever the layout is: only a pointer that has been found to be the task's own address is compared, and memory is
    /// read by the kernel, which refuses an address that cannot be read.
    static func isAsAssumed(frameOffset: Int = frameOffset) -> Bool {
        guard isOneWord, MemoryLayout<UnownedJob>.size == MemoryLayout<UInt>.size else { return false }
        let probe = Probe()
        defer { probe.letGo() }
        let task = Task.detached(executorPreference: probe) {
            probe.note(task: RunningTask.current.number)
            _ = await withUnsafeContinuation { (continuation: Continuation) in probe.note(continuation) }
        }
        // A task that has not begun goes on with its first frame, which is behind it in the same piece of memory.
        guard let job = probe.take() else { return false }
        let address = unsafeBitCast(job, to: UInt.self)
        let first = readWord(at: address, frameOffset)
        job.runSynchronously(on: probe.asUnownedTaskExecutor())
        // It waits now, in its own frame or in one that it has called.
        guard let (number, continuation) = probe.found else { return false }
        let second = readWord(at: address, frameOffset)
        let wasCancelled = task.isCancelled
        task.cancel()
        let isTask = number == address && bits(of: continuation) == address && address & 0b1111 == 0
        let isCancelled = !wasCancelled && isTask && RunningTask(number: number).isCancelled
        continuation.resume(returning: .ready)
        if let last = probe.take() { last.runSynchronously(on: probe.asUnownedTaskExecutor()) }
        guard isTask, isCancelled, let first, let second else { return false }
        return first > address && first - address < largestTask && second != first && second > 0 && second & 0b111 == 0
    }

    /// No task's header is as large, in bytes.
    private static let largestTask: UInt = 4096

    private static func readWord(at address: UInt, _ offset: Int) -> UInt? {
        var word: UInt = 0
        let source = UnsafeRawPointer(bitPattern: address &+ UInt(bitPattern: offset))
        return csockets_copy_memory(source, &word, MemoryLayout<UInt>.size) == 0 ? word : nil
    }
}

/// Runs nothing by itself: it hands the check the jobs of its task, which runs them on the thread that checks.
private final class Probe: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isOver = false
        var task: UInt = 0
        var continuation: RuntimeLayout.Continuation?
    }
    private let state = Lock(State())

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isLate = state.withLock { state in
            if !state.isOver { state.jobs.append(job) }
            return state.isOver
        }
        if isLate { globalConcurrentExecutor.enqueue(job) }
    }

    func take() -> UnownedJob? { state.withLock { $0.jobs.popLast() } }

    func note(task: UInt) { state.withLock { $0.task = task } }

    func note(_ continuation: RuntimeLayout.Continuation) { state.withLock { $0.continuation = continuation } }

    /// What the task has found, once it waits.
    var found: (task: UInt, continuation: RuntimeLayout.Continuation)? {
        state.withLock { state in state.continuation.map { (state.task, $0) } }
    }

    /// What still comes of the task goes to the global pool, whose it is where the check has ended early.
    func letGo() {
        let jobs = state.withLock { state in
            state.isOver = true
            defer { state.jobs = [] }
            return state.jobs
        }
        for job in jobs { globalConcurrentExecutor.enqueue(job) }
    }
}
