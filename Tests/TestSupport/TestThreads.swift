internal import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Threads for tests that block: they talk to another program by plain system calls, and wait for its answer in them.
///
/// The system has one thread for tasks to each processor. Two such tests would stop all others on two processors, and what
/// these are to do within a time would come too late.
package final class TestThreads: TaskExecutor, Sendable {
    package static let shared = TestThreads(count: 24)

    private let jobs = Lock<[UnownedJob]>([])
    /// Counts the jobs that nobody has taken.
    private let waiting: Semaphore

    private init(count: Int) {
        waiting = Semaphore()
        for _ in 0..<count {
            var thread = pthread_t()
            // They live as long as the tests do.
            let own = Unmanaged.passRetained(self).toOpaque()
            let code = pthread_create(
                &thread, nil,
                { argument in
                    if let argument { Unmanaged<TestThreads>.fromOpaque(argument).takeUnretainedValue().run() }
                    return nil
                }, own)
            precondition(code == 0, "the tests need threads")
            pthread_detach(thread)
        }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        waiting.post()
    }

    private func run() {
        while true {
            waiting.wait()
            let job = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            job?.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// A semaphore of the system's, which has to stay in one place.
private final class Semaphore: @unchecked Sendable {
    private let place = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(place, 0, 0) }
    func post() { sem_post(place) }
    func wait() { while sem_wait(place) != 0 {} }
}
