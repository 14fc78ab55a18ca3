internal import Loops
internal import SocketCore
internal import Sockets

/// `connect` under way.
final class Client: Sendable {
    private let endpoint: Endpoint
    private let source: SocketAddress?
    private let family: AddressFamily?
    private let timeout: Duration?
    private let tries: Retrying
    private let rules: JoinRules
    private let current = CurrentJoin()
    private let failures = Seldom()

    init(
        to endpoint: Endpoint, from source: SocketAddress?, family: AddressFamily?, timeout: Duration?,
        trying tries: Retrying, _ rules: JoinRules
    ) {
        self.endpoint = endpoint
        self.source = source
        self.family = family
        self.timeout = timeout
        self.tries = tries
        self.rules = rules
    }

    func run() throws {
        let work = Work()
        try rules.report.concluding {
            let place = try Place(endpoint)
            let input = try StandardInput(trace: rules.report.trace)
            // Also when a signal ends it before its end.
            defer { current.abandon() }
            try work.run("connect", grace: rules.grace) { [self] () throws(Failure) in
                try join(place, input)
            } stop: {
                input.stop()
                // Before there is a connection there is nothing to wait for.
                guard current.hasJoined else { return .now }
                return current.stop().map { .after($0) } ?? .byItself
            }
        }
    }

    private func join(_ place: Place, _ input: StandardInput) throws(Failure) {
        switch place {
        case .address:
            let join = try connect(input)
            try current.run { () throws(Failure) in join }
        case .stream:
            try current.run { () throws(Failure) in try StreamJoin(opening: endpoint, input, rules) }
        case .datagrams:
            try current.run { () throws(Failure) in try DatagramJoin(inherited: endpoint, input, rules) }
        case .listener:
            throw Failure(
                .usage,
                text(
                    "\(endpoint) is a listening socket: use pier listen \(endpoint)",
                    "\(endpoint) 是监听套接字：请用 pier listen \(endpoint)"))
        }
    }

    // MARK: Connecting

    /// Nothing of the input is read before there is a connection, so that no try loses any.
    private func connect(_ input: StandardInput) throws(Failure) -> any Join {
        var tries = tries
        while true {
            do throws(SocketError) {
                return try connectOnce(input)
            } catch {
                guard error.mayPass, let pause = tries.pause() else { throw Failure(error) }
                rules.report.tryFailed(error, tries.count, pause, isTold: failures.isTime)
                // A signal meanwhile ends the command.
                Bell.pauseThread(for: pause)
            }
        }
    }

    private func connectOnce(_ input: StandardInput) throws(SocketError) -> any Join {
        let start = Deadline.now
        let trace = rules.report.trace
        if endpoint.transport.carriesDatagrams {
            let socket = try DatagramSocket(
                to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
            let account = Account(socket.remoteAddress.map { "\($0)" } ?? "", rules.report)
            account.connected(from: try? socket.localAddress, since: start)
            return DatagramJoin(DatagramPeer(connected: socket), account, input, rules)
        }
        let connection = try Connection(
            to: endpoint, from: source, family: family, timeout: timeout,
            duplex: rules.wireDuplex, trace: trace)
        try connection.setKeepAlive(after: rules.keepAlive)
        let conversation = Conversation(connection, rules.report)
        conversation.connected(since: start)
        return StreamJoin(conversation, input, rules)
    }
}
