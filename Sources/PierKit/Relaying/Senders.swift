internal import Loops
internal import SocketCore
internal import Sockets

/// The reports of the senders whose datagrams share one output. They have no sessions: this only counts.
///
/// At most `limit` senders are known. One that has been silent for `idleTimeout` is told as closed, at the latest after twice
/// that.
final class Senders: Sendable {
    private struct State {
        /// Those that were heard since the last turn, and those that were heard in the one before.
        var recent: [SocketAddress: Account] = [:]
        var older: [SocketAddress: Account] = [:]
        var isOver = false

        /// Begins a new turn; gives those that were not heard in the last one.
        mutating func turn() -> [Account] {
            defer { (older, recent) = (recent, [:]) }
            return Array(older.values)
        }
    }

    private let state = Lock(State())
    private let report: Report
    private let place: String
    private let half: Int

    /// Nil where nothing is told of single clients.
    init?(on socket: DatagramSocket, _ settings: RelayVerb.Settings, _ report: Report) {
        guard report.isTelling else { return nil }
        self.report = report
        place = "\(socket.endpoint)"
        half = max(1, settings.maxSessions / 2)
        guard let idleTimeout = settings.idleTimeout else { return }
        Task(executorPreference: EventLoop.current) { [weak self] in
            while (try? await EventLoop.sleep(for: idleTimeout)) != nil {
                guard let self, let silent = self.turn() else { return }
                for account in silent { account.closed() }
            }
        }
    }

    /// A datagram has gone into the output, or is lost.
    func heard(_ datagram: Datagram, _ loss: SocketError?) {
        let (account, silent) = state.withLock { state -> (Account, [Account]) in
            if let known = state.recent[datagram.sender] { return (known, []) }
            let silent = state.recent.count >= half ? state.turn() : []
            let known = state.older.removeValue(forKey: datagram.sender)
            let account = known ?? Account(datagram.sender.senderName, report)
            if known == nil { account.accepted(on: place) }
            state.recent[datagram.sender] = account
            return (account, silent)
        }
        for account in silent { account.closed() }
        account.note(collected: datagram.bytes.count, isLost: loss != nil)
    }

    private func turn() -> [Account]? { state.withLock { $0.isOver ? nil : $0.turn() } }

    /// No more come: tells how much each has sent.
    func end() {
        let left = state.withLock { state in
            state.isOver = true
            return state.turn() + state.turn()
        }
        for account in left { account.closed() }
    }
}
