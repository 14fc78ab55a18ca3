internal import SocketCore
internal import Sockets

/// `relay` under way: the entrances, the targets, and the clients that are joined to them.
final class RelayServer: Sendable {
    let report: Report
    let targets: Targets
    let keepAlive: Duration?
    private let settings: [RelayVerb.Settings]
    private let loops: Int
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
            let entrances = try open()
            // Whatever happens from here on, no path of ours stays behind.
            defer { for entrance in entrances { entrance.close() } }
            try start(entrances)
            try course.wait { for entrance in entrances { entrance.stop() } }
        }
    }

    private func open() throws(Failure) -> [Entrance] {
        var entrances: [Entrance] = []
        for setting in settings {
            do throws(SocketError) {
                for entrance in try Entrance.open(setting, keepAlive: keepAlive, report.trace) {
                    entrances.append(entrance)
                    if let listener = entrance.listener { report.listening(listener.address, listener.transport) }
                }
            } catch {
                for entrance in entrances { entrance.close() }
                throw Failure(error)
            }
        }
        return entrances
    }

    private func start(_ entrances: [Entrance]) throws(Failure) {
        let group: EventLoopGroup
        do throws(SocketError) { group = try EventLoopGroup(loops: loops) } catch { throw Failure(error) }
        let works = entrances.map { entrance -> @Sendable () async -> SocketError? in
            { [self] in await serve(entrance, on: group) }
        }
        Together.start(works, on: group.loops[0], ended: course.ended)
    }

    /// Until nobody can come in any more and the last client has ended; then why, if it failed.
    private func serve(_ entrance: Entrance, on group: EventLoopGroup) async -> SocketError? {
        switch entrance {
        case .listener(let listener, let settings):
            return await serve(listener, settings, on: group)
        case .client(let stream, let settings):
            await join(stream.connection, settings)
            return nil
        }
    }

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
        let target: Connection
        do throws(SocketError) {
            let start = Deadline.now
            target = try await targets.connect(report.trace) {
                !client.isBroken
            } onRefusal: { destination, error in
                refused(destination, error)
            }
            try? target.setKeepAlive(after: keepAlive)
            accounts?.connected(to: target, since: start)
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

    func refused(_ destination: Destination, _ error: SocketError) {
        guard refusals.isTime else { return }
        report.warning("\(destination.endpoint): \(error.said)")
    }
}
