import CCounting
import Glibc
import Loops

/// Something to be counted: what is made ready once, and what is then done so often.
struct Scenario {
    let name: String
    /// How often in the short run and in the long one; what both have in common falls out of the difference.
    var few = 50
    var many = 550
    /// Makes it ready on a group of one loop, and gives what does it a number of times, from the main thread.
    let make: (EventLoopGroup) throws -> Running

    struct Running {
        let run: (Int) throws -> Void
        var end: () throws -> Void = {}
    }

    /// Runs it: once to warm up, the short run, the long run, each between two marks. Gives the allocations of one time.
    func count() throws -> Double {
        let group = try EventLoopGroup(loops: 1, name: "micro")
        defer { group.close() }
        let running = try make(group)
        try running.run(few)
        let before = mark()
        try running.run(few)
        let between = mark()
        try running.run(many)
        let after = mark()
        try running.end()
        return Double(Int(after - between) - Int(between - before)) / Double(many - few)
    }

    /// The allocations so far.
    private func mark() -> UInt64 {
        settle()
        let allocations = counting_allocations()
        counting_mark()
        return allocations
    }
}

/// Lets the loop come to rest: what it still does for the last time must not fall behind the mark.
func settle() { usleep(20_000) }

/// A system call of the benchmark's own has failed.
struct Failed: Error {
    let what: String
    let code = errno
}

/// Runs `body` as a task on a loop, and blocks the thread until it has ended.
func onLoop(_ loop: EventLoop, _ body: @escaping @Sendable () async throws -> Void) throws {
    let (inner, outer) = try rawPair(SOCK_STREAM)
    defer {
        close(inner)
        close(outer)
    }
    Task.detached(executorPreference: loop) {
        var verdict: UInt8 = 1
        do { try await body() } catch { verdict = 0; print("failed: \(error)") }
        write(inner, &verdict, 1)
    }
    var verdict: UInt8 = 0
    guard read(outer, &verdict, 1) == 1, verdict == 1 else { throw Failed(what: "a task") }
}
