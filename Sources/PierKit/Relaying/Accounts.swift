internal import SocketCore
internal import Sockets

/// What is told of a client and of its target; the library counts, so it is told when there is something to tell.
final class Accounts: Sendable {
    let client: Account
    private let first: Connection
    private let ofTarget = Lock<Account?>(nil)
    private let report: Report

    /// Nil where nothing is told of single clients.
    init?(of client: Connection, _ endpoint: Endpoint, _ report: Report) {
        guard report.isTelling else { return nil }
        self.report = report
        first = client
        self.client = Account(client.peerName, report)
        self.client.accepted(on: client.listener.map { $0.address.described(for: $0.transport) } ?? "\(endpoint)")
    }

    func connected(to connection: Connection, since start: Deadline) {
        let account = Account("\(connection.remoteAddress)", report, of: client)
        account.connected(from: try? connection.localAddress, since: start)
        ofTarget.withLock { $0 = account }
    }

    func finished(_ connection: Connection) {
        guard connection !== first else { return client.note(received: nil) }
        let account: Account? = ofTarget.withLock { $0 }
        account?.note(received: nil)
    }

    /// A failure belongs to the connection whose verb it ended.
    func closed(_ relay: Relay) {
        client.note(relayed: relay.forth, relay.back)
        client.closed(relay.forth.failed(.receive) ?? relay.back.failed(.send))
        let target: Account? = ofTarget.withLock { $0 }
        target?.note(relayed: relay.back, relay.forth)
        target?.closed(relay.back.failed(.receive) ?? relay.forth.failed(.send))
    }
}

extension Relay.Flow {
    /// Why it ended, if that verb failed.
    fileprivate func failed(_ verb: SocketError.Operation) -> SocketError? {
        failure.flatMap { $0.operation == verb ? $0 : nil }
    }
}
