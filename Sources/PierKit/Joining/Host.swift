internal import Loops
internal import SocketCore
internal import Sockets

/// `listen` under way: the first client is joined, or one after another; or the one that is there already.
final class Host: Sendable {
    let endpoint: Endpoint
    let keeps: Bool
    let timeout: Duration?
    let rules: JoinRules
    /// Nil is the default, or what an inherited socket has.
    private let backlog: Int?
    private let shortages = Seldom()
    private let current = CurrentJoin()
    private let isStopping = Lock(false)

    init(on endpoint: Endpoint, backlog: Int?, timeout: Duration?, _ rules: JoinRules) {
        self.endpoint = endpoint
        self.backlog = backlog
        self.timeout = timeout
        self.rules = rules
        keeps = rules.keepsInput
    }

    func run() throws {
        let work = Work()
        try rules.report.concluding {
            switch try Place(endpoint) {
            case .address where endpoint.transport.carriesDatagrams, .datagrams: try hostSenders(work)
            case .address, .listener: try hostClients(work)
            case .stream:
                try checkForOne()
                try host(work, stop: {}) { (input) throws(Failure) in
                    try self.joinNext { () throws(Failure) in
                        try StreamJoin(opening: self.endpoint, input, self.rules)
                    }
                }
            }
        }
    }

    /// One that is there already has nobody after it.
    func checkForOne() throws(Failure) {
        guard keeps else { return }
        throw Failure(
            .usage,
            text(
                "\(endpoint) is one client, and none comes after it: leave --keep out",
                "\(endpoint) 是一个客户端，它之后不会再有：请去掉 --keep"))
    }

    /// Does the work. At the first signal no further peer is joined; `stop` ends the wait for one.
    func host(
        _ work: Work, stop: () -> Void, _ join: @escaping @Sendable (StandardInput) throws(Failure) -> Void
    ) throws {
        let input = try StandardInput(trace: rules.report.trace)
        // Also when a signal ends it before its end.
        defer { current.abandon() }
        try work.run("listen", grace: rules.grace) { () throws(Failure) in
            try join(input)
        } stop: {
            isStopping.withLock { $0 = true }
            input.stop()
            let join = current.stop()
            if join == nil || join is StreamJoin { stop() }
            // Between clients `--keep` ends as a server does.
            return join.map { .after($0) } ?? (keeps || current.hasJoined ? .byItself : .now)
        }
    }

    var mayGoOn: Bool { keeps && !isStopping.withLock { $0 } }

    /// Joins one peer. Where others follow, its failure is not the command's.
    func joinNext(
        _ make: () throws(Failure) -> any Join, unused: () -> Void = {}
    ) throws(Failure) {
        do throws(Failure) {
            try current.run(make, unused: unused) { join, failure in
                if keeps, let cause = failure.error, !isStopped(failure) { join.account.closed(cause) }
            }
        } catch {
            if isStopped(error) { return }
            guard keeps, error.error != nil else { throw error }
            if rules.report.form != .json, let sentence = error.sentence { rules.report.note(sentence) }
        }
    }

    /// Whether a signal came when a peer was about to be joined, and closed what it came by.
    private func isStopped(_ failure: Failure) -> Bool {
        failure.error?.cause == .closed && isStopping.withLock { $0 }
    }

    // MARK: Clients of a stream

    private func hostClients(_ work: Work) throws {
        let listener = try listener()
        // Whatever happens from here on, no path of ours stays behind.
        defer { listener.close() }
        rules.report.listening(listener.endpoint)
        let place = "\(listener.endpoint)"
        try host(work, stop: { listener.close() }) { (input) throws(Failure) in
            try self.joinClients(of: listener, place, input)
        }
    }

    private func listener() throws(Failure) -> Listener {
        do throws(SocketError) {
            let found = try Listener.open(
                endpoint, backlog: backlog, duplex: rules.wireDuplex, trace: rules.report.trace)
            // Of a name with several sockets nothing comes here.
            guard let only = found.first else { throw SocketError(.adopt, .closed, target: "\(endpoint)") }
            return only
        } catch {
            throw Failure(error)
        }
    }

    private func joinClients(of listener: Listener, _ place: String, _ input: StandardInput) throws(Failure) {
        if let timeout { listener.acceptDeadline = .after(timeout) }
        repeat {
            guard let connection = try accept(from: listener) else { return }
            listener.acceptDeadline = .never
            // A second client is refused, and not left in a queue that nobody looks at.
            if !keeps { listener.close() }
            let conversation = Conversation(connection, rules.report)
            conversation.account.accepted(on: place)
            try joinNext {
                () throws(Failure) in
                StreamJoin(conversation, input, rules)
            } unused: {
                // Accepted as the command was ending. An end would look like an answer without words.
                connection.abort()
                conversation.account.closed()
            }
        } while mayGoOn
    }

    /// The next client; nil when there will be no other.
    private func accept(from listener: Listener) throws(Failure) -> Connection? {
        var shortage = Shortage()
        while true {
            do throws(SocketError) {
                let connection = try listener.accept()
                try connection.setKeepAlive(after: rules.keepAlive)
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
