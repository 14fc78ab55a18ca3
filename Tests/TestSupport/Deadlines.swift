import SocketCore

/// A test waits for events, never for time; this is how long it waits before it gives up.
package struct NeverHappened: Error, CustomStringConvertible {
    package let what: String

    package init(what: String) { self.what = what }

    package var description: String { "\(what) did not happen in time" }
}

/// How long a test waits for what must come. Only a failure takes that long, so it is far more than a machine needs that
/// has several times as much to do as it can.
package let patience = Duration.seconds(120)

/// Runs `body` and gives its value, or throws `NeverHappened` if that takes longer than `limit`. A body that does not heed
/// its cancellation is left behind.
package func within<T: Sendable>(
    _ limit: Duration = patience, _ what: String = "it", _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    let first = First<T>()
    let work = Task {
        do { first.finish(.success(try await body())) } catch { first.finish(.failure(error)) }
    }
    let alarm = Task {
        try? await Task.sleep(for: limit)
        if !Task.isCancelled { first.finish(.failure(NeverHappened(what: what))) }
    }
    defer {
        alarm.cancel()
        work.cancel()
    }
    return try await first.value()
}

/// Waits until `condition` holds; a condition that nobody can be waited for, such as a descriptor's being closed.
package func eventually(
    _ limit: Duration = patience, _ what: String = "it", _ condition: @Sendable () -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while !condition() {
        guard ContinuousClock.now < end else { throw NeverHappened(what: what) }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// The first of several results.
private final class First<T: Sendable>: Sendable {
    private let state = Lock<(Result<T, any Error>?, CheckedContinuation<T, any Error>?)>((nil, nil))

    func finish(_ result: Result<T, any Error>) {
        let waiting = state.withLock { state -> CheckedContinuation<T, any Error>? in
            guard state.0 == nil else { return nil }
            state.0 = result
            return state.1
        }
        waiting?.resume(with: result)
    }

    func value() async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state in
                state.1 = continuation
                return state.0
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
