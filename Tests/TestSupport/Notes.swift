internal import SocketCore
internal import Synchronization

/// What tasks and threads note down for the test to look at.
package final class Notes<Value: Sendable>: Sendable {
    private let values = Lock<[Value]>([])

    package init() {}

    package func add(_ value: Value) { values.withLock { $0.append(value) } }
    package var all: [Value] { values.withLock { $0 } }

    /// Waits until something that fits is noted.
    package func waits(_ what: String, for condition: @Sendable (Value) -> Bool) async throws {
        try await eventually(patience, what) { self.all.contains(where: condition) }
    }
}

/// A number that tasks and threads count in.
package final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    @discardableResult
    package func add(_ number: Int = 1) -> Int { count.wrappingAdd(number, ordering: .sequentiallyConsistent).newValue }
    package func raise(to least: Int) { count.max(least, ordering: .sequentiallyConsistent) }
    package var value: Int { count.load(ordering: .sequentiallyConsistent) }
}
