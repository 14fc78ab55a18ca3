internal import SocketCore
internal import Sockets

/// What is told of a client and its target where one of them, or both, speak in datagrams.
final class DatagramAccounts: Sendable {
    let client: Account
    private let ofTarget = Lock<Account?>(nil)
    private let report: Report

    private init?(_ name: String, on place: Endpoint, _ report: Report) {
        guard report.isTelling else { return nil }
        self.report = report
        client = Account(name, report)
        client.accepted(on: "\(place)")
    }

    /// Nil where nothing is told of single clients.
    convenience init?(of session: DatagramSession, _ report: Report) {
        self.init(session.remoteAddress.senderName, on: session.socket.endpoint, report)
    }

    /// Nil where nothing is told of single clients.
    convenience init?(of connection: Connection, _ stream: OpenedStream?, _ endpoint: Endpoint, _ report: Report) {
        self.init(stream?.peerName ?? connection.peerName, on: connection.listener?.endpoint ?? endpoint, report)
    }

    func connected(to peer: SocketAddress?, from local: SocketAddress?, since start: Deadline) {
        let account = Account(peer.map { "\($0)" } ?? "", report, of: client)
        account.connected(from: local, since: start)
        ofTarget.withLock { $0 = account }
    }

    /// That a stream took him: a connection, or a program.
    func connected(to target: OpenedStream, since start: Deadline) {
        let account = Account(target.peerName, report, of: client)
        account.connected(from: try? target.connection.localAddress, since: start)
        ofTarget.withLock { $0 = account }
    }

    /// That no target took him. His first datagram is lost by that, besides those for which there was no room.
    func closed(unjoined session: DatagramSession, _ error: SocketError) {
        client.note(lost: session.droppedCount &+ 1)
        client.closed(error)
    }

    /// What went each way until now, of a relay that is cut short.
    func count(_ relay: DatagramRelay) { client.note(relayed: relay.forth, relay.back, lost: 0) }

    /// A failure belongs to the side whose verb it ended. `end` is how the client's stream ended behind its connection, and
    /// `ofTarget` how the target's did.
    func closed(_ relay: DatagramRelay, client end: StreamEnd? = nil, target ofTarget: StreamEnd? = nil) {
        client.note(relayed: relay.forth, relay.back, lost: relay.lost &- relay.back.lost)
        client.closed(relay.forth.failed(.receive) ?? relay.back.failed(.send) ?? end?.failure, end?.program)
        let target: Account? = self.ofTarget.withLock { $0 }
        target?.note(relayed: relay.back, relay.forth, lost: relay.back.lost)
        target?.closed(relay.back.failed(.receive) ?? relay.forth.failed(.send), ofTarget?.program)
    }
}

extension DatagramRelay.Flow {
    /// Why it ended, if that verb failed.
    fileprivate func failed(_ verb: SocketError.Operation) -> SocketError? {
        failure.flatMap { $0.operation == verb ? $0 : nil }
    }
}
