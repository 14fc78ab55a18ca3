internal import Loops
internal import Sockets

/// Several works at once, each in a task.
enum Together {
    /// Starts all of them; each tells why it failed, if it did. `ended` is told when the last has ended; the first that fails
    /// cancels the others, and is told.
    static func start(
        _ works: [@Sendable () async -> SocketError?], on group: EventLoopGroup,
        ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        // On a loop from its first step, so that no other threads are ever started.
        Task.detached(executorPreference: group.loops[0]) {
            // Its loops end with the last reference to it.
            defer { withExtendedLifetime(group) {} }
            let failure = await withTaskGroup(of: SocketError?.self) { tasks in
                for work in works { tasks.addTask { await work() } }
                var first: SocketError?
                for await failure in tasks where first == nil {
                    first = failure
                    if first != nil { tasks.cancelAll() }
                }
                return first
            }
            ended(failure)
        }
    }
}
