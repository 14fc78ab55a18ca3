// A server that computes for its clients: on the threads of Swift's global pool, so that no other client waits for it.
import Sockets

/// How many primes there are below a number. It takes long, and never waits.
@concurrent func countPrimes(below limit: Int) async -> Int {
    guard limit > 2 else { return 0 }
    return (2..<limit).count { number in !(2..<number).prefix { $0 * $0 <= number }.contains { number % $0 == 0 } }
}

let listener = try Listener(on: "127.0.0.5:8520")
try await listener.serve { client in
    while let line = try await client.receiveLine() {
        let limit = min(Int(line) ?? 0, 1_000_000)
        // The client's task prefers its loop, and `@concurrent` functions and actors stay there. This moves the work, and
        // comes back to the loop after it. (`nil` for the executor would change nothing.)
        let count = await withTaskExecutorPreference(globalConcurrentExecutor) { await countPrimes(below: limit) }
        try await client.send("\(count)\n")
    }
}
