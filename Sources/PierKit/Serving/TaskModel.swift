internal import Sockets

/// `--model tasks`: a task for each client, on event loops; and `--model callbacks`, which has none for who is silent.
struct TaskModel {
    let server: Server
    let group: EventLoopGroup
    /// Whether messages are what is called for, where the service waits for them. Who only speaks has no silent clients.
    private let isCalledBack: Bool

    init(server: Server, loops: Int, isCalledBack: Bool) throws(SocketError) {
        self.server = server
        self.isCalledBack = isCalledBack
        // Several share the processors with who sends to them, on this machine at least.
        group = try EventLoopGroup(loops: loops, preempts: loops == 1)
    }

    /// What is done for each client; chosen here, once.
    private func body(_ settings: Serve.Settings) -> @Sendable (Connection) async throws -> Void {
        switch server.service {
        case .echo where settings.show != .none && !server.report.isTelling: shownEcho(settings)
        case .echo where !server.isTold(settings): silentEcho(settings)
        case .echo: body(Echo.self, settings)
        case .discard: body(Discard.self, settings)
        case .chargen: body(Chargen.self, settings)
        case .daytime: body(Daytime.self, settings)
        }
    }

    private func silentEcho(_ settings: Serve.Settings) -> @Sendable (Connection) async throws -> Void {
        let size = settings.receiveSize
        return { client in try await Echo.serve(client, upTo: size) }
    }

    private func shownEcho(_ settings: Serve.Settings) -> @Sendable (Connection) async throws -> Void {
        let (size, show, output) = (settings.receiveSize, settings.show, server.output)
        return { connection in
            guard let shown = Shown(connection.peerName, show, output) else { return }
            try await Echo.serve(connection, upTo: size, shown)
        }
    }

    private func body<S: Service>(
        _ service: S.Type, _ settings: Serve.Settings
    ) -> @Sendable (Connection) async throws -> Void {
        let size = settings.receiveSize
        // A silent client of which nothing is told has the frame of its service alone.
        guard server.isTold(settings) else { return { client in try await S.serve(client, upTo: size) } }
        return { [server] connection in
            let client = server.conversation(connection, settings)
            do throws(SocketError) {
                try await S.serve(client, upTo: size)
                // Here, so that what is told of its end is told when it is so.
                await connection.finishAndClose()
                client.account.closed()
            } catch {
                connection.abort()
                client.account.closed(error)
                throw error
            }
        }
    }

    /// What is done for each sender of datagrams of whom something is told: what came and went is added up.
    private func session(_ settings: Serve.Settings) -> @Sendable (DatagramSession) async throws -> Void {
        let service = server.service.type
        return { [server] session in
            let isLocal = session.remoteAddress.isLoopback
            let sender = server.sender(session.remoteAddress, of: session.socket, settings)
            do throws(SocketError) {
                while let datagram = try await session.receive() {
                    sender.account.note(received: datagram)
                    await sender.shown?.show(whole: datagram)
                    if let answer = service.answer(to: datagram, fromThisMachine: isLocal) {
                        try await session.send(answer)
                        sender.account.note(sent: answer.count)
                    }
                }
                sender.account.closed()
            } catch {
                sender.account.closed(error)
                throw error
            }
        }
    }

    /// Until the listener is closed and its last client has ended; then why, if it failed.
    private func serve(_ listener: Listener, _ settings: Serve.Settings) async -> SocketError? {
        do throws(SocketError) {
            try await serveClients(of: listener, settings)
            return nil
        } catch {
            return error
        }
    }

    private func serveClients(of listener: Listener, _ settings: Serve.Settings) async throws(SocketError) {
        // By name, so that each is compiled for its service.
        switch server.service {
        case .echo where isCalledBack: return try await serveMessages(Echo.self, listener, settings)
        case .discard where isCalledBack: return try await serveMessages(Discard.self, listener, settings)
        default: break
        }
        try await listener.serve(
            on: group, limit: settings.maxClients, idleTimeout: settings.idleTimeout,
            onError: server.report.failureHandler, onShortage: server.tellShortage,
            onFull: { [server] in server.tellFull(listener, settings) },
            body(settings))
    }

    private func serve(_ socket: DatagramSocket, _ settings: Serve.Settings) async -> SocketError? {
        do throws(SocketError) {
            try await serveSenders(to: socket, settings)
            return nil
        } catch {
            return error
        }
    }

    private func serveSenders(to socket: DatagramSocket, _ settings: Serve.Settings) async throws(SocketError) {
        let admits = server.admission(settings)
        // Over Unix sockets an answer may have to wait for its receiver, and must hold up nobody else meanwhile.
        if server.isTold(settings) || socket.transport != .udp {
            try await socket.serve(
                on: group, limit: settings.maxSessions, idleTimeout: settings.idleTimeout, admits: admits,
                session(settings))
        } else {
            // To these services a datagram says all there is to say.
            let service = server.service.type
            let isOurs = settings.endpoint.transport.hasAddresses
            try await socket.serveDatagrams(on: group, asOnlyUser: isOurs, admits: admits) { datagram in
                service.answer(to: datagram.bytes, fromThisMachine: datagram.sender.isLoopback)
            }
        }
    }

    func start(
        _ opened: Opened, ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        var works: [@Sendable () async -> SocketError?] = []
        for (socket, settings) in opened.sockets { works.append { await serve(socket, settings) } }
        for (listener, settings) in opened.listeners { works.append { await serve(listener, settings) } }
        for (stream, settings) in opened.clients {
            works.append {
                await serveAlone(stream, settings)
                return nil
            }
        }
        Together.start(works, on: group, ended: ended)
    }
}
