internal import SocketCore
internal import Sockets

/// A client and its target, joined; and what is told of them.
///
/// An object, so that while they wait the frames of the client's task hold one word of all this.
final class Joint: Sendable {
    let relay: Relay
    let target: OpenedStream
    let accounts: Accounts?
    /// Whether nobody else can be joined to this target.
    let isThereOnce: Bool

    init(
        _ client: Connection, _ stream: OpenedStream?, _ target: OpenedStream, _ settings: RelayVerb.Settings,
        isThereOnce: Bool, _ accounts: Accounts?
    ) {
        var onFinish: (@Sendable (Connection) -> Void)?
        if let accounts { onFinish = { accounts.finished($0) } }
        relay = Relay(
            client, target.connection, upTo: settings.receiveSize, idleTimeout: settings.idleTimeout,
            onFinish: onFinish, breakage: Self.breakage(stream, target))
        self.target = target
        self.isThereOnce = isThereOnce
        self.accounts = accounts
    }

    /// Why it failed, if it did, in words that say how much went each way: a failure is no end, and something may be missing.
    func failure(_ client: StreamEnd, _ target: StreamEnd) -> Failure? {
        if let error = client.failure { return told(Failure(error), of: relay.first) }
        if let error = target.failure { return told(Failure(error), of: relay.second) }
        for side in [relay.first, relay.second] {
            if let error = relay.failure(of: side) { return told(Failure(error), of: side) }
        }
        return nil
    }

    /// The same with how much came from a side, and went there. What is told of standard output needs no more words.
    private func told(_ failure: Failure, of side: Connection) -> Failure {
        guard let sentence = failure.sentence, failure.error != nil else { return failure }
        let (said, heard) = side === relay.first ? (relay.forth, relay.back) : (relay.back, relay.forth)
        let counts = text(
            " (\(said.bytes) bytes received, \(heard.bytes) sent)", "（收到 \(said.bytes) 字节，发送 \(heard.bytes) 字节）")
        return Failure(failure.status, sentence + counts, failure.error)
    }

    /// What looks like the end of a bridge is none where it failed.
    private static func breakage(
        _ stream: OpenedStream?, _ target: OpenedStream
    ) -> (@Sendable (Connection) -> SocketError?)? {
        guard stream?.bridge != nil || target.bridge != nil else { return nil }
        return { connection in
            (connection === target.connection ? target.bridge : stream?.bridge)?.failure
        }
    }
}
