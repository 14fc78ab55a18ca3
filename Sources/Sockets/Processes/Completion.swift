internal import Loops
internal import SocketCore
internal import SystemPackage

/// A value that comes once, and that any number of tasks and threads wait for.
final class Completion<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiting: [Bell] = []
    }
    private let state = Lock(State())

    /// The value, once it has come.
    var value: Value? { state.withLock { $0.value } }

    /// Tells the value to all who wait; only the first counts.
    func finish(_ value: Value) {
        let waiting = state.withLock { state -> [Bell] in
            guard state.value == nil else { return [] }
            state.value = value
            defer { state.waiting = [] }
            return state.waiting
        }
        for bell in waiting { bell.ring() }
    }

    /// Suspends the task until the value has come, or the time; nil then.
    ///
    /// Throws `.cancelled` as soon as the task is.
    func wait(
        until deadline: Deadline = .never, _ operation: SocketError.Operation
    ) async throws(SocketError) -> Value? {
        let bell = Bell()
        guard join(bell) else { return value }
        defer { leave(bell) }
        _ = try await bell.wait(until: deadline, operation)
        return value
    }

    /// Blocks the thread until the value has come, or the time; nil then.
    func waitBlocking(until deadline: Deadline = .never) -> Value? {
        let bell = Bell()
        guard join(bell) else { return value }
        defer { leave(bell) }
        bell.waitBlockingAnyway(until: deadline)
        return value
    }

    /// False when there is nothing to wait for.
    private func join(_ bell: Bell) -> Bool {
        state.withLock { state in
            if state.value == nil { state.waiting.append(bell) }
            return state.value == nil
        }
    }

    private func leave(_ bell: Bell) {
        state.withLock { state in state.waiting.removeAll { $0 === bell } }
    }
}
