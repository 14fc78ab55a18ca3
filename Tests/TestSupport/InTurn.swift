package import Testing

/// Lets only a few suites run at a time. All at once, a thousand tests on two processors would wait for one another longer
/// than for what they test, and miss their deadlines.
package struct InTurn: SuiteTrait, TestScoping {
    /// Where its tests run, if not where tasks do.
    fileprivate var threads: TestThreads?

    /// Around a suite as a whole; a suite in another has its place already.
    package var isRecursive: Bool { false }

    @concurrent
    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        await Self.places.enter()
        do {
            try await withTaskExecutorPreference(threads) { try await function() }
        } catch {
            await Self.places.leave()
            throw error
        }
        await Self.places.leave()
    }

    private static let places = Turnstile(places: 6)
}

extension Trait where Self == InTurn {
    /// The suite waits for one of a few places.
    package static var inTurn: Self { InTurn() }

    /// The same, for tests that block their threads: they have threads of their own for that.
    package static var inTurnOnThreads: Self { InTurn(threads: .shared) }
}

/// A number of places, and a queue for them.
private actor Turnstile {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { free = places }

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
