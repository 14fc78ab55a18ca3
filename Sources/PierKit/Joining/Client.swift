internal import Loops
internal import SocketCore
internal import Sockets

/// `connect` under way.
final class Client: Sendable {
    private let endpoint: Endpoint
    private let source: SocketAddress?
    private let family: AddressFamily?
    private let timeout: Duration?
    private let keepAlive: Duration?
    private let grace: Duration?
    private let rules: JoinRules

    init(
        endpoint: Endpoint, source: SocketAddress?, family: AddressFamily?, timeout: Duration?, keepAlive: Duration?,
        grace: Duration?, rules: JoinRules
    ) {
        self.endpoint = endpoint
        self.source = source
        self.family = family
        self.timeout = timeout
        self.keepAlive = keepAlive
        self.grace = grace
        self.rules = rules
    }

    func run() throws {
        let work = Work()
        try rules.report.concluding {
            let input = try StandardInput(trace: rules.report.trace)
            let joined = Lock<(any Join)?>(nil)
            // Also when a signal ends it before its end.
            defer { joined.withLock { $0 }?.account.closed() }
            try work.run("connect", grace: grace) { [self] () throws(Failure) in
                let join = try connect(input)
                joined.withLock { $0 = join }
                try join.run()
                join.account.closed()
            } drain: {
                // Before there is a connection there is nothing to wait for.
                guard let join = joined.withLock({ $0 }) else { return false }
                input.stop()
                join.inputStopped()
                return true
            }
        }
    }

    private func connect(_ input: StandardInput) throws(Failure) -> any Join {
        do throws(SocketError) {
            let start = Deadline.now
            let trace = rules.report.trace
            if endpoint.transport.carriesDatagrams {
                let socket = try DatagramSocket(
                    to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
                let account = Account(socket.remoteAddress.map { "\($0)" } ?? "", rules.report)
                account.connected(from: try? socket.localAddress, since: start)
                return DatagramJoin(DatagramPeer(connected: socket), account, input, rules)
            }
            // One way or half, the wire is full-duplex; the dialogue's rule is the library's.
            let connection = try Connection(
                to: endpoint, from: source, family: family, timeout: timeout,
                duplex: rules.duplex == .half ? .half : .full, trace: trace)
            try connection.setKeepAlive(after: keepAlive)
            let conversation = Conversation(connection, rules.report)
            conversation.connected(since: start)
            return StreamJoin(conversation, input, rules)
        } catch {
            throw Failure(error)
        }
    }
}
