internal import SocketCore
internal import Sockets
internal import Synchronization

/// `serve` under way: the listeners, their clients, and how it all ends.
final class Server: Sendable {
    let service: Serve.ServiceName
    let model: Model
    let loops: Int
    let settings: [Serve.Settings]
    let output: Sink
    let report: Report
    let programs = Programs()
    /// Why what the command was for has failed: a client that was there from the start, where nobody else can come.
    private let failure = Lock<Failure?>(nil)
    /// Whether anybody can come besides those who were there from the start.
    private let isListening = Atomic<Bool>(false)
    private let shortages = Seldom()
    private let fullness = Seldom()
    private let course: Course
    /// What is to be done when the listeners have been closed; nil from then on.
    private let stops = Lock<[@Sendable () -> Void]?>([])

    init(_ command: Serve) throws(Failure) {
        service = command.service
        model = command.model
        loops = command.loops?.value ?? EventLoopGroup.processors
        settings = try command.settings()
        let course = Course(grace: command.grace.duration)
        output = Sink(waitingFor: 1) { course.events.post(.outputFailed($0)) }
        self.course = course
        report = Report(command.reporting.form, isTraced: command.reporting.trace)
    }

    func run() throws {
        course.watchSignals()
        try report.concluding {
            let opened = try open()
            // Whatever happens from here on, no path of ours stays behind, and no program.
            defer {
                programs.endAll()
                opened.close()
            }
            try start(opened) { [self] error in
                course.ended(error.map { Failure($0) } ?? failure.withLock { $0 })
            }
            try report.following {
                try course.wait(writing: output) {
                    opened.stop()
                    let stops = stops.withLock { stops in
                        defer { stops = nil }
                        return stops ?? []
                    }
                    for stop in stops { stop() }
                }
            }
        }
    }

    /// Has `action` done when the listeners have been closed; at once, where they are.
    func atStop(_ action: @escaping @Sendable () -> Void) {
        let isLate = stops.withLock { stops in
            stops?.append(action)
            return stops == nil
        }
        if isLate { action() }
    }

    private func open() throws(Failure) -> Opened {
        var opened = Opened()
        for setting in settings {
            do throws(SocketError) {
                for place in try opened.add(setting, report.trace) {
                    report.listening(place, service: service.rawValue)
                }
            } catch {
                opened.close()
                throw Failure(error)
            }
        }
        isListening.store(opened.isListening, ordering: .relaxed)
        for (stream, _) in opened.clients { programs.add(stream) }
        return opened
    }

    private func start(
        _ opened: Opened, ended: @escaping @Sendable (SocketError?) -> Void
    ) throws(Failure) {
        do throws(SocketError) {
            switch model {
            case .tasks, .callbacks:
                try TaskModel(server: self, loops: loops, isCalledBack: model == .callbacks)
                    .start(opened, ended: ended)
            case .threads: ThreadModel(server: self).start(opened, ended: ended)
            case .blocking: BlockingModel(server: self).start(opened, ended: ended)
            }
        } catch {
            opened.close()
            throw Failure(error)
        }
    }

    /// Whether anything is told of a client, so that its connection is not all that is needed.
    func isTold(_ settings: Serve.Settings) -> Bool { settings.show != .none || report.isTelling }

    /// What is told of a client.
    func conversation(_ connection: Connection, _ settings: Serve.Settings) -> Conversation {
        let conversation = Conversation(connection, report, show: settings.show, output)
        conversation.account.accepted(on: "\(connection.listener?.endpoint ?? settings.endpoint)")
        return conversation
    }

    /// What is told of a client that was there from the start.
    func conversation(_ stream: OpenedStream, _ settings: Serve.Settings) -> Conversation {
        let conversation = Conversation(
            stream.connection, named: stream.peerName, report, show: settings.show, output)
        conversation.account.accepted(on: "\(settings.endpoint)")
        return conversation
    }

    /// Keeps why a client failed that was there from the start, where nobody else can come; or tells it.
    func conclude(_ error: Failure) {
        if !isListening.load(ordering: .relaxed) {
            failure.withLock { $0 = $0 ?? error }
        } else if report.form != .json, let sentence = error.sentence {
            report.warning(sentence)
        }
    }

    /// What is told of a sender of datagrams.
    func sender(
        _ address: SocketAddress, of socket: DatagramSocket, _ settings: Serve.Settings
    ) -> (account: Account, shown: Shown?) {
        let account = Account(address.senderName, report)
        account.accepted(on: "\(socket.endpoint)")
        return (account, Shown(address.senderName, settings.show, output))
    }

    /// Who is answered on an endpoint for datagrams. A sender's address may be a lie, and the answer go to somebody who did
    /// not ask: so not to other machines unless that is asked for, and never to the ports of services that would answer.
    func admission(_ settings: Serve.Settings) -> (@Sendable (SocketAddress) -> Bool)? {
        guard service.type.answersDatagrams else { return nil }
        let (isNear, endpoint, report) = (service == .daytime || settings.allowsRemote, settings.endpoint, report)
        let isTold = Lock(false)
        return { sender in
            let isAdmitted = (sender.port.map { $0 >= 1024 } ?? true) && (isNear || sender.isLoopback)
            let isFirst =
                !isAdmitted
                && isTold.withLock { told in
                    defer { told = true }
                    return !told
                }
            if isFirst {
                report.warning(
                    text(
                        "\(endpoint): datagrams from \(sender) are not answered: only this machine's are (see --allow-remote-datagrams), and none from a port below 1024",
                        "\(endpoint)：不回应来自 \(sender) 的数据报：只回应本机的（见 --allow-remote-datagrams），也从不回应低于 1024 的端口"))
            }
            return isAdmitted
        }
    }

    /// Tells that an endpoint serves as many clients as it may.
    func tellFull(_ listener: Listener, _ settings: Serve.Settings) {
        guard fullness.isTime else { return }
        report.full(listener, settings.maxClients)
    }

    /// Tells that descriptors ran out.
    @Sendable
    func tellShortage(_ error: SocketError) {
        guard shortages.isTime else { return }
        report.shortage(error)
    }
}
