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
