internal import Loops
internal import SocketCore
internal import Sockets

extension DatagramSocket {
    /// The one that this process was started with, by `fd:` or `systemd:`; nil for other endpoints.
    static func inherited(of endpoint: Endpoint, _ rules: JoinRules) throws(Failure) -> DatagramSocket? {
        do throws(SocketError) {
            return try inherited(by: endpoint, trace: rules.report.trace)
        } catch {
            throw Failure(error)
        }
    }
}

extension DatagramJoin {
    /// With the datagram socket that this process was started with, which must be connected.
    convenience init(inherited endpoint: Endpoint, _ input: StandardInput, _ rules: JoinRules) throws(Failure) {
        try rules.checkForDatagrams(endpoint)
        guard let socket = try DatagramSocket.inherited(of: endpoint, rules), socket.remoteAddress != nil else {
            throw Failure(
                .usage,
                text(
                    "\(endpoint) is a datagram socket that is connected to nobody: use pier listen \(endpoint)",
                    "\(endpoint) 是没有连接到任何人的数据报套接字：请用 pier listen \(endpoint)"))
        }
        self.init(connected: socket, of: endpoint, input, rules)
    }

    /// With a socket that was connected elsewhere, which was opened as `endpoint`.
    convenience init(
        connected socket: DatagramSocket, of endpoint: Endpoint, _ input: StandardInput, _ rules: JoinRules
    ) {
        let remote = socket.remoteAddress ?? .unnamed
        let account = Account(remote == .unnamed ? "\(endpoint)" : "\(remote)", rules.report)
        account.connected(from: try? socket.localAddress, since: .now)
        self.init(DatagramPeer(connected: socket), account, input, rules)
    }
}
