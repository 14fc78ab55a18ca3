internal import SocketCore
internal import Sockets

/// `relay` under way: the entrances, the targets, and the clients that are joined to them.
final class RelayServer: Sendable {
    let report: Report
    let targets: Targets
    let keepAlive: Duration?
    let programs = Programs()
    let occupancy = Occupancy()
    let ongoing = Ongoing()
    /// Why what the command was for has failed: its only client, or the one that a target was there for.
    let failure = Lock<Failure?>(nil)
    let refusals = Seldom()
    let losses = Seldom()
    /// Where datagrams stand in a stream, if they meet one.
    let framing: Framing?
    let lostDatagrams: LostDatagrams
    /// Where the datagrams of all senders go, if they share a target.
    var output: SharedOutput? { shared.withLock { $0 } }
    private let shared = Lock<SharedOutput?>(nil)
    let lone: LoneRelay
    private let settings: [RelayVerb.Settings]
    private let loops: Int
    private let course: Course
    private let entrances = Lock<[Entrance]>([])
    private let shortages = Seldom()
    private let fullness = Seldom()

    init(_ command: RelayVerb) throws(Failure) {
        let sides = try command.sides()
        settings = sides.entrances
        framing = try command.checkedFraming(settings, sides.targets)
        targets = Targets(sides.targets, command.retrying.tries)
        loops = command.loops?.value ?? EventLoopGroup.processors
        keepAlive = command.keepAlive.duration
        report = Report(command.reporting.form, isTraced: command.reporting.trace)
        lostDatagrams = LostDatagrams(report)
        lone = LoneRelay(report)
        course = Course(grace: command.grace.duration)
    }

    func run() throws {
        course.watchSignals()
        try report.concluding {
            defer { lostDatagrams.tell() }
            // Whatever happens from here on, no path of ours stays behind, and no program.
            defer {
                programs.endAll()
                targets.close()
                output?.close()
                for entrance in entrances.withLock({ $0 }) { entrance.close() }
            }
            do throws(SocketError) { try open() } catch { throw Failure(error) }
            for entrance in entrances.withLock({ $0 }) { try checkTargets(targets.endpoints, of: entrance) }
            announce()
            try start()
            let isAlone = entrances.withLock { $0 }.count == 1 && !serves
            try report.following {
                try course.wait(delivery: isAlone ? lone : nil) {
                    for entrance in entrances.withLock({ $0 }) { entrance.stop(isAlone ? lone : nil) }
                }
            } cut: {
                if isAlone { lone.tellCut() }
                if !lone.isWhole { ongoing.cutAll() }
            }
        }
    }

    /// Whether clients can come.
    private var serves: Bool { entrances.withLock { $0 }.contains { $0.endpoint != nil } }

    private func open() throws(SocketError) {
        try openOutput()
        if output == nil { try targets.open(report.trace) }
        for setting in settings {
            for entrance in try Entrance.open(setting, keepAlive: keepAlive, report.trace) {
                entrances.withLock { $0.append(entrance) }
                if case .client(let stream, _) = entrance { programs.add(stream) }
            }
        }
    }

    /// Opens what the senders of datagrams share, if they do.
    private func openOutput() throws(SocketError) {
        let users = settings.count { $0.isDatagrams }
        guard users > 0, !targets.carryDatagrams, let framing, let endpoint = targets.endpoints.first,
            SharedOutput.isNamed(by: endpoint)
        else { return }
        let opened = try SharedOutput(endpoint, framing, users: users, report.trace)
        shared.withLock { $0 = opened }
    }

    private func announce() {
        for place in entrances.withLock({ $0 }).compactMap(\.endpoint) { report.listening(place) }
    }

    private func start() throws(Failure) {
        let group: EventLoopGroup
        do throws(SocketError) {
            // Several share the processors with who sends to them, on this machine at least.
            group = try EventLoopGroup(loops: loops, preempts: loops == 1)
        } catch {
            throw Failure(error)
        }
        let works = entrances.withLock { $0 }.map { entrance -> @Sendable () async -> SocketError? in
            { [self] in await serve(entrance, on: group) }
        }
        Together.start(works, on: group) { [self] error in
            course.ended(error.map { Failure($0) } ?? failure.withLock { $0 } ?? lone.failure)
        }
    }

    /// Until nobody can come in any more and the last client has ended; then why, if it failed.
    private func serve(_ entrance: Entrance, on group: EventLoopGroup) async -> SocketError? {
        switch entrance {
        case .listener(let listener, let settings):
            return await serve(listener, settings, on: group)
        case .client(let stream, let settings):
            await join(stream.connection, settings, as: stream)
            return nil
        case .senders(let socket, let settings):
            return await serve(socket, settings, on: group)
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

    // MARK: For those who join

    /// Whether anybody may still come.
    var isListening: Bool { entrances.withLock { $0 }.contains { $0.isListening } }

    /// Nobody who comes could be joined to anything.
    func stopListening() {
        for entrance in entrances.withLock({ $0 }) { entrance.stopListening() }
    }
}
