/// The machine was too slow for the times of a test: nothing is proved by what happened.
package struct TooSlow: Error, CustomStringConvertible {
    package init() {}
    package var description: String { "the machine is too slow for this test, however much time it is given" }
}

/// Runs `body` with a time for the program under test, and where the machine is too slow for it, again with four times as
/// much, up to 256 times.
package func withTime<R>(_ first: Duration, _ body: (Duration) async throws -> R) async throws -> R {
    var time = first
    for _ in 0..<4 {
        do { return try await body(time) } catch is TooSlow { time *= 4 }
    }
    return try await body(time)
}

/// How long `body` takes at best: it is run until that is less than `limit`, five times at the most.
package func shortest(under limit: Duration, _ body: () async throws -> Void) async throws -> Duration {
    var shortest: Duration?
    for _ in 0..<5 {
        let start = ContinuousClock.now
        try await body()
        let taken = ContinuousClock.now - start
        shortest = min(shortest ?? taken, taken)
        if taken < limit { break }
    }
    return shortest ?? .zero
}

/// Somebody who speaks more often than an idle time, as far as the machine lets him.
package struct Speaker {
    private let idle: Duration
    private var last = ContinuousClock.now
    private var longest = Duration.zero

    package init(idle: Duration) { self.idle = idle }

    /// Whether he was ever silent for so long that it may be held against him.
    package var isTooSlow: Bool { longest >= idle }

    /// Says something with `say`, which tells whether it was heard. Throws `TooSlow` when it was not and that is no wonder.
    package mutating func says(_ say: () throws -> Bool) throws -> Bool {
        // The other's wait began after this, and it has ended by the time that it is found to have.
        let before = last
        last = .now
        let heard = Result { try say() }
        longest = max(longest, ContinuousClock.now - before)
        if case .success(true) = heard { return true }
        if isTooSlow { throw TooSlow() }
        return try heard.get()
    }
}

extension Duration {
    /// How it is written for the command.
    package var argument: String { "\(Int(self / .milliseconds(1)))ms" }
}
