internal import Sockets

/// `--model tasks`: a task for each client, on event loops.
struct TaskModel {
    let server: Server
    let group: EventLoopGroup

    init(server: Server, loops: Int) throws(SocketError) {
        self.server = server
        group = try EventLoopGroup(loops: loops)
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
                                onShortage: server.tellShortage
                            ) { connection in
                                var client = EchoClient(connection, settings, server.output)
                                try await client.serve()
                            }
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
