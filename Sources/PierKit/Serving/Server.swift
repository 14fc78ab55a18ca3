internal import SocketCore
internal import Sockets

/// `serve` under way: the listeners, their clients, and how it all ends.
final class Server: Sendable {
    let service: Serve.ServiceName
    let model: Model
    let loops: Int
    let grace: Duration?
    let settings: [Serve.Settings]
    let output: Sink
    let report: Report
    private let shortages = Seldom()
    private let fullness = Seldom()
    private let events = Events()
    private let stops = Lock<[@Sendable () -> Void]>([])

    init(_ command: Serve) throws(Failure) {
        service = command.service
        model = command.model
        loops = command.loops?.value ?? EventLoopGroup.processors
        grace = command.grace.duration
        settings = try command.settings()
        let events = events
        output = Sink(waitingFor: 1) { events.post(.outputFailed($0)) }
        report = Report(command.reporting.form, isTraced: command.reporting.trace)
    }

    func run() throws {
        Signals.watch { [events] in events.post(.signal($0)) }
        try report.concluding {
            let opened = try open()
            // Whatever happens from here on, no path of ours stays behind.
            defer { opened.close() }
            try start(opened) { [events] in events.post(.ended($0)) }
            try wait(for: opened)
        }
    }

    /// Has `action` done when the listeners have been closed.
    func atStop(_ action: @escaping @Sendable () -> Void) {
        stops.withLock { $0.append(action) }
    }

    private func open() throws(Failure) -> Opened {
        var opened = Opened()
        for setting in settings {
            do throws(SocketError) {
                let address = try opened.add(setting, report.trace)
                report.listening(address.described(for: setting.endpoint.transport), service.rawValue)
                if !address.isLoopback {
                    report.warning(
                        text(
                            "\(address) is public: whoever reaches this machine can \(setting.endpoint.transport.carriesDatagrams ? "send to it" : "connect")",
                            "\(address) 是公开的：能访问这台机器的人都能\(setting.endpoint.transport.carriesDatagrams ? "发送" : "连接")"))
                }
            } catch {
                opened.close()
                throw Failure(error)
            }
        }
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

    /// Waits for the end; returns when all went well. What was shown is written out first: within the grace, or at the
    /// second signal at once, as far as somebody reads it.
    private func wait(for opened: Opened) throws {
        var deadline = Deadline.never
        var signal: Int32 = 0
        while true {
            switch events.next(until: deadline) {
            case .signal(let number) where signal == 0:
                signal = number
                opened.stop()
                for stop in stops.withLock({ $0 }) { stop() }
                if let grace { deadline = .after(grace) }
            case nil, .signal:
                try? output.flush(until: .after(.milliseconds(100)))
                throw ExitStatus.signal(signal)
            case .outputFailed(let error):
                throw Failure(output: error)
            case .flushFailed(let failure):
                throw failure
            case .ended(let error?):
                try? output.flush(until: .after(.seconds(1)))
                throw Failure(error)
            case .ended(nil):
                return try finishOutput(until: deadline == .never ? .after(.seconds(5)) : deadline)
            }
        }
    }

    /// Writes out what was shown; a signal meanwhile is the second one.
    private func finishOutput(until deadline: Deadline) throws {
        let isOut = Threads.start("flush") { [output, events] in
            do throws(Failure) {
                try output.flush(until: deadline)
                events.post(.ended(nil))
            } catch {
                events.post(.flushFailed(error))
            }
        }
        guard isOut else { return try output.flush(until: deadline) }
        switch events.next(until: .never) {
        case .signal(let number): throw ExitStatus.signal(number)
        case .outputFailed(let error): throw Failure(output: error)
        case .flushFailed(let failure): throw failure
        case .ended, nil: return
        }
    }

    /// Whether anything is told of a client, so that its connection is not all that is needed.
    func isTold(_ settings: Serve.Settings) -> Bool { settings.show != .none || report.isTelling }

    /// What is told of a client.
    func conversation(_ connection: Connection, _ settings: Serve.Settings) -> Conversation {
        let conversation = Conversation(connection, report, show: settings.show, output)
        conversation.account.accepted(
            on: connection.listener.map { $0.address.described(for: settings.endpoint.transport) } ?? "")
        return conversation
    }

    /// What is told of a sender of datagrams.
    func sender(
        _ address: SocketAddress, of socket: DatagramSocket, _ settings: Serve.Settings
    ) -> (account: Account, shown: Shown?) {
        let name = address == .unnamed ? "unix-dgram" : "\(address)"
        let account = Account(name, report)
        account.accepted(on: "\(socket.endpoint)")
        return (account, Shown(name, settings.show, output))
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
        let (address, count) = (listener.address, settings.maxClients)
        report.warning(
            text(
                "\(address): \(count) clients, which is the limit; others queue until one has left (see --max-clients)",
                "\(address)：\(count) 个客户端，已到上限；其他的要排队，直到有一个离开（见 --max-clients）"))
    }

    /// Tells that descriptors ran out.
    @Sendable
    func tellShortage(_ error: SocketError) {
        guard shortages.isTime else { return }
        let sentence = Failure(error).sentence ?? ""
        report.warning(
            text("\(sentence); clients queue until others have left", "\(sentence)；新的客户端要排队，直到有别的离开"))
    }
}
