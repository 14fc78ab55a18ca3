internal import SocketCore
internal import Sockets

/// What is told of a client and of its target; the library counts, so it is told when there is something to tell.
final class Accounts: Sendable {
    let client: Account
    private let first: Connection
    private let ofTarget = Lock<Account?>(nil)
    private let report: Report

    /// Nil where nothing is told of single clients.
    init?(of client: Connection, _ stream: OpenedStream?, _ endpoint: Endpoint, _ report: Report) {
        guard report.isTelling else { return nil }
        self.report = report
        first = client
        self.client = Account(stream?.peerName ?? client.peerName, report)
        self.client.accepted(on: "\(client.listener?.endpoint ?? endpoint)")
    }

    func connected(to target: OpenedStream, since start: Deadline) {
        let account = Account(target.peerName, report, of: client)
        account.connected(from: try? target.connection.localAddress, since: start)
        ofTarget.withLock { $0 = account }
    }

    func finished(_ connection: Connection) {
        guard connection !== first else { return client.note(received: nil) }
        let account: Account? = ofTarget.withLock { $0 }
        account?.note(received: nil)
    }

    /// What went each way until now, of a relay that is cut short.
    func count(_ relay: Relay) { client.note(relayed: relay.forth, relay.back) }

    /// A failure belongs to the side whose verb it ended.
    func closed(_ relay: Relay, _ own: StreamEnd, _ target: StreamEnd) {
        client.note(relayed: relay.forth, relay.back)
        client.closed(own.failure ?? relay.failure(of: relay.first), own.program)
        let account: Account? = ofTarget.withLock { $0 }
        account?.note(relayed: relay.back, relay.forth)
        account?.closed(target.failure ?? relay.failure(of: relay.second), target.program)
    }
}
