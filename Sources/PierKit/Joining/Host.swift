internal import Loops
internal import SocketCore
internal import Sockets

/// `listen` under way: the first client is joined, or one after another.
final class Host: Sendable {
    let endpoint: Endpoint
    let keeps: Bool
    let timeout: Duration?
    let rules: JoinRules
    private let backlog: Int
    private let keepAlive: Duration?
    private let grace: Duration?
    private let shortages = Seldom()
    private let joined = Lock<(any Join)?>(nil)
    private let isStopping = Lock(false)

    init(
        endpoint: Endpoint, keeps: Bool, backlog: Int, timeout: Duration?, keepAlive: Duration?, grace: Duration?,
        rules: JoinRules
    ) {
        self.endpoint = endpoint
        self.keeps = keeps
        self.backlog = backlog
        self.timeout = timeout
        self.keepAlive = keepAlive
        self.grace = grace
        self.rules = rules
    }

    func run() throws {
        let work = Work()
        try rules.report.concluding {
            if endpoint.transport.carriesDatagrams {
                let socket = try open { () throws(SocketError) in
                    let socket = try DatagramSocket(on: endpoint, trace: rules.report.trace)
                    return (socket, try socket.localAddress)
                }
                // Whatever happens from here on, no path of ours stays behind.
                defer { socket.close() }
                try host(work, stop: { socket.close() }) { (input) throws(Failure) in
                    try self.joinSenders(of: socket, input)
                }
            } else {
                let listener = try open { () throws(SocketError) in
                    let listener = try Listener(
                        on: endpoint, backlog: backlog, duplex: rules.duplex == .half ? .half : .full,
                        trace: rules.report.trace)
                    return (listener, listener.address)
                }
                defer { listener.close() }
                try host(work, stop: { listener.close() }) { (input) throws(Failure) in
                    try self.joinClients(of: listener, input)
                }
            }
        }
    }

    /// Opens the endpoint and tells of it.
    private func open<Socket>(
        _ make: () throws(SocketError) -> (Socket, SocketAddress)
    ) throws(Failure) -> Socket {
        do throws(SocketError) {
            let (socket, address) = try make()
            rules.report.listening(address, endpoint.transport)
            return socket
        } catch {
            throw Failure(error)
        }
    }

    /// Does the work; at the first signal nobody else is joined, and for who is, the input has ended. Where nobody is joined,
    /// `stop` is what ends the wait for somebody.
    private func host(
        _ work: Work, stop: () -> Void, _ join: @escaping @Sendable (StandardInput) throws(Failure) -> Void
    ) throws {
        let input = try StandardInput(trace: rules.report.trace)
        // Also when a signal ends it before its end.
        defer { joined.withLock { $0 }?.account.closed() }
        try work.run("listen", grace: grace) { () throws(Failure) in
            try join(input)
        } drain: {
            isStopping.withLock { $0 = true }
            input.stop()
            let current = joined.withLock { $0 }
            current?.inputStopped()
            if current == nil || !endpoint.transport.carriesDatagrams { stop() }
            return true
        }
    }

    var mayGoOn: Bool { keeps && !isStopping.withLock { $0 } }

    /// Joins one peer. Where others follow, its failure is not the command's.
    func joinNext(_ join: any Join) throws(Failure) {
        joined.withLock { $0 = join }
        defer { joined.withLock { $0 = nil } }
        do throws(Failure) {
            try join.run()
            join.account.closed()
        } catch {
            // The signal came when this one was about to be joined, and closed what it came by.
            if error.error?.cause == .closed, isStopping.withLock({ $0 }) { return join.account.closed() }
            guard keeps, let cause = error.error else {
                join.account.closed()
                throw error
            }
            join.account.closed(cause)
            if rules.report.form != .json, let sentence = error.sentence { rules.report.note(sentence) }
        }
    }

    // MARK: Clients of a stream

    private func joinClients(of listener: Listener, _ input: StandardInput) throws(Failure) {
        let place = listener.address.described(for: endpoint.transport)
        if let timeout { listener.acceptDeadline = .after(timeout) }
        repeat {
            guard let connection = try accept(from: listener) else { return }
            listener.acceptDeadline = .never
            // A second client is refused, and not left in a queue that nobody looks at.
            if !keeps { listener.close() }
            let conversation = Conversation(connection, rules.report)
            conversation.account.accepted(on: place)
            try joinNext(StreamJoin(conversation, input, rules))
        } while mayGoOn
    }

    /// The next client; nil when there will be no other.
    private func accept(from listener: Listener) throws(Failure) -> Connection? {
        var shortage = Shortage()
        while true {
            do throws(SocketError) {
                let connection = try listener.accept()
                try connection.setKeepAlive(after: keepAlive)
                return connection
            } catch {
                switch error.cause {
                case .closed: return nil
                case .system(let errno) where errno.isShortage && !listener.isClosed:
                    if shortages.isTime { rules.report.warning(Failure(error).sentence ?? "") }
                    Bell.pauseThread(for: shortage.pause())
                default: throw Failure(error)
                }
            }
        }
    }
}
