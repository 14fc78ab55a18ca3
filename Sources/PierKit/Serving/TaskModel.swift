internal import Sockets

/// `--model tasks`: a task for each client, on event loops.
struct TaskModel {
    let server: Server
    let group: EventLoopGroup

    init(server: Server, loops: Int) throws(SocketError) {
        self.server = server
        group = try EventLoopGroup(loops: loops)
    }

    /// What is done for each client; chosen here, once.
    private func body(_ settings: Serve.Settings) -> @Sendable (Connection) async throws -> Void {
        let (size, show, output) = (settings.receiveSize, settings.show, server.output)
        if show == .none { return { connection in try await Echo.serve(connection, upTo: size) } }
        return { connection in
            guard let shown = Shown(connection, show, output) else { return }
            try await Echo.serve(connection, upTo: size, shown)
        }
    }

    func start(
        _ listeners: [(Listener, Serve.Settings)], ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        let server = server
        let group = group
        // On a loop from its first step, so that no other threads are ever started.
        Task.detached(executorPreference: group.loops[0]) {
            let failure = await withTaskGroup(of: SocketError?.self) { tasks in
                for (listener, settings) in listeners {
                    tasks.addTask {
                        do throws(SocketError) {
                            try await listener.serve(
                                on: group, limit: settings.maxClients, idleTimeout: settings.idleTimeout,
                                onShortage: server.tellShortage, body(settings))
                            return nil
                        } catch {
                            return error
                        }
                    }
                }
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
