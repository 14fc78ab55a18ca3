internal import DequeModule
internal import Loops
internal import SocketCore
internal import Synchronization

/// The sessions of a server by their senders: at most so many, and each only as long as its sender is heard.
///
/// Anybody can send from any address, so the table must not grow, nor keep a real sender out: at the limit the one that
/// has been silent for longest makes room.
final class SessionTable: Sendable {
    private struct State {
        var sessions: [SocketAddress: DatagramSession] = [:]
        /// All of them, each with when its sender was last heard as of then; roughly in that order. Who has been heard since
        /// is put behind the others when his turn comes to be looked at, so that a datagram costs no more than a mark.
        var order = Deque<(session: DatagramSession, heard: UInt64)>()
        var isOver = false

        /// The session of a sender of whom a datagram has come, if there is one.
        func hears(_ sender: SocketAddress, _ now: UInt64) -> DatagramSession? {
            let session = sessions[sender]
            session?.lastHeard.store(now, ordering: .relaxed)
            return session
        }

        /// Takes those that are over out of the order, once they are more than the others: behind one that goes on they would
        /// else stay for as long as it does. So a session costs a few looks.
        mutating func forgetPast() {
            guard order.count > 2 * sessions.count + 64 else { return }
            let current = sessions
            order.removeAll { current[$0.session.remoteAddress] !== $0.session }
        }
    }

    /// What the sessions of a server share.
    struct Place: Sendable {
        let socket: DatagramSocket
        let outbox: Outbox
        let held: HeldBytes
        /// How many datagrams a session holds that were not received yet.
        let queue: Int
    }

    private let state = Lock(State())
    private let place: Place
    private let limit: Int
    private let idle: Atomic<UInt64>

    init(_ place: Place, limit: Int, idleTimeout: Duration?) {
        self.place = place
        self.limit = limit
        idle = Atomic(idleTimeout?.clampedNanoseconds ?? .max)
    }

    /// From now on a session is over when its sender has been silent for so long, if that is not over before.
    func limitSilence(to silence: Duration) { idle.min(silence.clampedNanoseconds, ordering: .relaxed) }

    /// A sender's session, and whether it is new and so needs a task; nil when he is not to be served.
    func session(
        of sender: SocketAddress, now: UInt64, unless refuses: (SocketAddress) -> Bool
    ) -> (DatagramSession, isNew: Bool)? {
        if let known = state.withLock({ $0.hears(sender, now) }) { return (known, false) }
        // Not under the lock: who is asked may end the server, which comes here again.
        if refuses(sender) { return nil }
        let (found, evicted) = state.withLock { state -> ((DatagramSession, isNew: Bool)?, DatagramSession?) in
            if let known = state.hears(sender, now) { return ((known, false), nil) }
            guard !state.isOver else { return (nil, nil) }
            let evicted = state.sessions.count >= limit ? popLongestSilent(&state) : nil
            let session = DatagramSession(sender, place, at: now)
            state.sessions[sender] = session
            state.order.append((session, now))
            return ((session, true), evicted)
        }
        evicted?.finish()
        return found
    }

    private func popLongestSilent(_ state: inout State) -> DatagramSession? {
        // As many looks as there are entries: then all have been heard since.
        for _ in 0..<state.order.count {
            guard let (session, heard) = state.order.popFirst() else { return nil }
            guard state.sessions[session.remoteAddress] === session else { continue }
            let last = session.lastHeard.load(ordering: .relaxed)
            guard last > heard else {
                state.sessions[session.remoteAddress] = nil
                return session
            }
            state.order.append((session, last))
        }
        // So many datagrams have come since that a sort costs each of them little.
        state.order.sort { $0.heard < $1.heard }
        guard let (session, _) = state.order.popFirst() else { return nil }
        state.sessions[session.remoteAddress] = nil
        return session
    }

    /// Ends the sessions whose senders have been silent for the idle time; gives when to look again.
    func expire(now: UInt64) -> Deadline {
        let idle = idle.load(ordering: .relaxed)
        let (next, expired) = state.withLock { state -> (Deadline, [DatagramSession]) in
            var expired: [DatagramSession] = []
            while let (session, heard) = state.order.first {
                let (end, overflow) = heard.addingReportingOverflow(idle)
                if overflow { return (.never, expired) }
                let isCurrent = state.sessions[session.remoteAddress] === session
                let last = session.lastHeard.load(ordering: .relaxed)
                if isCurrent, end > now { return (Deadline(nanoseconds: end), expired) }
                state.order.removeFirst()
                guard isCurrent else { continue }
                if last > heard {
                    state.order.append((session, last))
                } else {
                    state.sessions[session.remoteAddress] = nil
                    expired.append(session)
                }
            }
            return (.never, expired)
        }
        for session in expired { session.finish() }
        return next
    }

    /// A session's body has ended: out with it. What came too late for it begins another; nil when nothing did.
    func succeed(_ session: DatagramSession) -> DatagramSession? {
        let next: DatagramSession? = state.withLock { state in
            let isCurrent = state.sessions[session.remoteAddress] === session
            let left = session.leftovers()
            if isCurrent { state.sessions[session.remoteAddress] = nil }
            state.forgetPast()
            guard isCurrent, !left.isEmpty else { return nil }
            let heard = session.lastHeard.load(ordering: .relaxed)
            let next = DatagramSession(session.remoteAddress, place, at: heard)
            if let first = left.first { next.begin(with: first) }
            for message in left.dropFirst() { next.put(message) }
            state.sessions[session.remoteAddress] = next
            state.order.append((next, heard))
            return next
        }
        if let next, state.withLock({ $0.isOver }) { next.finish() }
        return next
    }

    /// No further sessions; those that there are get what they have been sent, and then find their end.
    func end() {
        let sessions = state.withLock { state in
            state.isOver = true
            return Array(state.sessions.values)
        }
        for session in sessions { session.finish() }
    }

    var count: Int { state.withLock { $0.sessions.count } }
}
