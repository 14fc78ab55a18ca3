internal import SocketCore
internal import Sockets

/// `relay` under way: the listeners, the targets, and the clients that are joined to them.
final class RelayServer: Sendable {
    private let settings: [RelayVerb.Settings]
    private let targets: Targets
    private let loops: Int
    private let keepAlive: Duration?
    private let report: Report
    private let course: Course
    private let shortages = Seldom()
    private let fullness = Seldom()
    private let refusals = Seldom()

    init(_ command: RelayVerb) throws(Failure) {
        settings = try command.settings()
        targets = Targets(try command.destinations(), retry: command.retry, backoff: command.backoff)
        loops = command.loops?.value ?? EventLoopGroup.processors
        keepAlive = command.keepAlive.duration
        report = Report(command.reporting.form, isTraced: command.reporting.trace)
        course = Course(grace: command.grace.duration)
    }

    func run() throws {
        course.watchSignals()
        try report.concluding {
            let listeners = try open()
            // Whatever happens from here on, no path of ours stays behind.
            defer { for (listener, _) in listeners { listener.close() } }
            try start(listeners)
            try course.wait { for (listener, _) in listeners { listener.close() } }
        }
    }

    private func open() throws(Failure) -> [(Listener, RelayVerb.Settings)] {
        var listeners: [(Listener, RelayVerb.Settings)] = []
        for setting in settings {
            do throws(SocketError) {
                let listener = try Listener(on: setting.endpoint, backlog: setting.backlog, trace: report.trace)
                listeners.append((listener, setting))
                try listener.setKeepAlive(after: keepAlive)
                report.listening(listener.address, setting.endpoint.transport)
            } catch {
                for (listener, _) in listeners { listener.close() }
                throw Failure(error)
            }
        }
        return listeners
    }

    private func start(_ listeners: [(Listener, RelayVerb.Settings)]) throws(Failure) {
        let group: EventLoopGroup
        do throws(SocketError) { group = try EventLoopGroup(loops: loops) } catch { throw Failure(error) }
        let ended = course.ended
        // On a loop from its first step, so that no other threads are ever started.
        Task.detached(executorPreference: group.loops[0]) { [self] in
            ended(
                await withTaskGroup(of: SocketError?.self) { tasks in
                    for (listener, settings) in listeners {
                        tasks.addTask { await self.serve(listener, settings, on: group) }
                    }
                    var first: SocketError?
                    for await failure in tasks where first == nil {
                        first = failure
                        if first != nil { tasks.cancelAll() }
                    }
                    return first
                })
        }
    }

    /// Until the listener is closed and its last client has ended; then why, if it failed.
    private func serve(
        _ listener: Listener, _ settings: RelayVerb.Settings, on group: EventLoopGroup
    ) async -> SocketError? {
        do throws(SocketError) {
            try await listener.serve(
                on: group, limit: settings.maxClients, onError: report.failureHandler,
                onShortage: { [self] error in if shortages.isTime { report.shortage(error) } },
                onFull: { [self] in if fullness.isTime { report.full(listener, settings.maxClients) } }
            ) { [self] client in await join(client, settings) }
            return nil
        } catch {
            return error
        }
    }

    private func join(_ client: Connection, _ settings: RelayVerb.Settings) async {
        let accounts = Accounts(of: client, settings.endpoint, report)
        let (target, destination): (Connection, Destination)
        do throws(SocketError) {
            let start = Deadline.now
            (target, destination) = try await targets.connect(report.trace) {
                !client.isBroken
            } onRefusal: { destination, error in
                refused(destination, error)
            }
            try? target.setKeepAlive(after: keepAlive)
            accounts?.connected(to: target, destination.endpoint, since: start)
        } catch {
            // Not an end, which would look like an answer without words.
            client.abort()
            accounts?.client.closed(error)
            return
        }
        var onFinish: (@Sendable (Connection) -> Void)?
        if let accounts { onFinish = { accounts.finished($0) } }
        let relay = Relay(
            client, target, upTo: settings.receiveSize, idleTimeout: settings.idleTimeout, onFinish: onFinish)
        await relay.run()
        accounts?.closed(relay)
    }

    private func refused(_ destination: Destination, _ error: SocketError) {
        guard refusals.isTime else { return }
        report.warning("\(destination.endpoint): \(error.said)")
    }
}

/// What is told of a client and of its target; the library counts, so it is told when there is something to tell.
private final class Accounts: Sendable {
    let client: Account
    private let first: Connection
    private let ofTarget = Lock<Account?>(nil)
    private let report: Report

    /// Nil where nothing is told of single clients.
    init?(of client: Connection, _ endpoint: Endpoint, _ report: Report) {
        guard report.isTelling else { return nil }
        self.report = report
        first = client
        self.client = Account(client.peerName, report)
        self.client.accepted(on: client.listener.map { $0.address.described(for: endpoint.transport) } ?? "")
    }

    func connected(to connection: Connection, _ endpoint: Endpoint, since start: Deadline) {
        let account = Account("\(connection.remoteAddress)", report, of: client)
        account.connected(from: try? connection.localAddress, since: start)
        ofTarget.withLock { $0 = account }
    }

    func finished(_ connection: Connection) {
        guard connection !== first else { return client.note(received: nil) }
        let account: Account? = ofTarget.withLock { $0 }
        account?.note(received: nil)
    }

    /// A failure belongs to the connection whose verb it ended.
    func closed(_ relay: Relay) {
        client.note(relayed: relay.forth, relay.back)
        client.closed(relay.forth.failed(.receive) ?? relay.back.failed(.send))
        let target: Account? = ofTarget.withLock { $0 }
        target?.note(relayed: relay.back, relay.forth)
        target?.closed(relay.back.failed(.receive) ?? relay.forth.failed(.send))
    }
}

extension Relay.Flow {
    /// Why it ended, if that verb failed.
    fileprivate func failed(_ verb: SocketError.Operation) -> SocketError? {
        failure.flatMap { $0.operation == verb ? $0 : nil }
    }
}
