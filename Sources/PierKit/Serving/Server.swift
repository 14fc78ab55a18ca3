internal import Sockets

/// `serve` under way: the listeners, their clients, and how it all ends.
final class Server: Sendable {
    let model: Model
    let loops: Int
    let grace: Duration?
    let settings: [Serve.Settings]
    let output: Sink
    let errors: Sink
    let trace: Trace?
    private let events = Events()

    init(_ command: Serve) throws(Failure) {
        model = command.model
        loops = command.loops?.value ?? EventLoopGroup.processors
        grace = command.grace.duration
        settings = try command.settings()
        let events = events
        output = Sink(1, .wait) { events.post(.outputFailed($0)) }
        let errors = Sink(2, .drop)
        self.errors = errors
        trace = command.trace ? Trace.lines { errors.lineOrDrop($0) } : nil
    }

    func run() throws {
        Signals.watch { [events] in events.post(.signal($0)) }
        // What was told must be out before the process ends.
        defer { _ = errors.flush(within: .milliseconds(200)) }
        let listeners = try listen()
        // Whatever happens from here on, no path of ours stays behind.
        defer { for (listener, _) in listeners { listener.close() } }
        try start(listeners) { [events] in events.post(.ended($0)) }
        let status = wait(for: listeners)
        // What was shown must be out too, and cannot be given up so easily.
        let isWritten = output.flush(within: grace ?? .seconds(5))
        if let failure = try status.get() { throw failure }
        if !isWritten { throw ExitStatus.failed }
    }

    private func listen() throws(Failure) -> [(Listener, Serve.Settings)] {
        var listeners: [(Listener, Serve.Settings)] = []
        for setting in settings {
            do throws(SocketError) {
                let listener = try Listener(on: setting.endpoint, backlog: setting.backlog, trace: trace)
                listeners.append((listener, setting))
                errors.lineOrDrop("listening \(listener.address.described(for: setting.endpoint.transport))")
                if !listener.address.isLoopback {
                    errors.lineOrDrop(
                        "warning: \(listener.address) is public: whoever reaches this machine can connect")
                }
            } catch {
                for (listener, _) in listeners { listener.close() }
                throw Failure(error)
            }
        }
        return listeners
    }

    private func start(
        _ listeners: [(Listener, Serve.Settings)], ended: @escaping @Sendable (SocketError?) -> Void
    ) throws(Failure) {
        do throws(SocketError) {
            switch model {
            case .tasks: try TaskModel(server: self, loops: loops).start(listeners, ended: ended)
            case .threads: ThreadModel(server: self).start(listeners, ended: ended)
            case .blocking: BlockingModel(server: self).start(listeners, ended: ended)
            }
        } catch {
            for (listener, _) in listeners { listener.close() }
            throw Failure(error)
        }
    }

    /// Waits for the end: the exit status that is thrown, a failure, or nothing when all went well.
    private func wait(for listeners: [(Listener, Serve.Settings)]) -> Result<Failure?, any Error> {
        var deadline = Deadline.never
        var signal: Int32 = 0
        while true {
            switch events.next(until: deadline) {
            case nil:
                return .failure(ExitStatus.signal(signal))
            case .signal(let number) where signal == 0:
                signal = number
                for (listener, _) in listeners { listener.close() }
                if let grace { deadline = .after(grace) }
            case .signal(let number):
                return .failure(ExitStatus.signal(number))
            case .outputFailed(let error):
                return .success(Failure(output: error))
            case .ended(let error):
                return .success(error.map { Failure($0) })
            }
        }
    }

    /// Tells that descriptors ran out; whoever calls does so once a shortage.
    @Sendable
    func tellShortage(_ error: SocketError) {
        errors.lineOrDrop("warning: \(Failure(error).sentence ?? ""); clients queue until others have left")
    }
}
