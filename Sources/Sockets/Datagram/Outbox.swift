internal import Loops
internal import SocketCore
internal import SystemPackage

/// The answers of a server's sessions on their way out together.
///
/// It is open only between the arrival of a batch and the moment when all who were woken by it have had their turn; the
/// server then sends what has gathered. At any other time a session sends by itself.
final class Outbox: Sendable {
    private struct State: ~Copyable {
        var isOpen = false
        var answers = AnswerBatch()
        /// Whose they are, each at its answer's place.
        var sessions: [DatagramSession] = []

        mutating func send(_ descriptor: CInt) -> AnswerBatch.Sent {
            let sent = answers.send(descriptor) { [sessions] place, _, errno in sessions[place].refused(errno) }
            if sent == .all { sessions.removeAll(keepingCapacity: true) }
            return sent
        }
    }

    private let state: Lock<State>

    init() { state = Lock(State()) }

    /// Lets answers gather.
    func open() {
        state.withLock { $0.isOpen = true }
    }

    /// Takes an answer; false when it is the caller's to send. A full box is sent off at once, as far as the kernel has room.
    func post(_ bytes: [UInt8], by passage: System.Passage, of session: DatagramSession) -> Bool {
        state.withLock { state in
            guard state.isOpen else { return false }
            if state.answers.isFull { _ = try? session.socket.waitable.use { fd in state.send(fd) } }
            guard state.answers.put(bytes, to: session.remoteAddress, by: passage) else { return false }
            state.sessions.append(session)
            return true
        }
    }

    /// Sends all that has gathered, waiting for room where it must. The box is closed then.
    func flush(on socket: DatagramSocket) async {
        let isEmpty = state.withLock { state in
            state.isOpen = false
            return state.answers.isEmpty
        }
        if isEmpty { return }
        if await socket.sendBatch({ fd in state.withLock { $0.send(fd) } }) { return }
        state.withLock { state in
            for session in state.sessions { session.refused(.noBufferSpace) }
            state.answers = AnswerBatch()
            state.sessions = []
        }
    }
}
