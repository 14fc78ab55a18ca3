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

    /// What became of an answer that was handed in.
    enum Posted {
        case taken
        /// It is the caller's to send.
        case left
        /// It is the caller's to send, when those that are still here have gone: one of them may be its sender's too.
        case leftBehind
    }

    /// Takes an answer if it can. A full box is sent off at once, as far as the kernel has room.
    func post(_ bytes: [UInt8], by passage: System.Passage, of session: DatagramSession) -> Posted {
        state.withLock { state in
            if state.isOpen {
                if state.answers.isFull { _ = try? session.socket.waitable.use { fd in state.send(fd) } }
                if state.answers.put(bytes, to: session.remoteAddress, by: passage) {
                    state.sessions.append(session)
                    return .taken
                }
            }
            return state.answers.isEmpty ? .left : .leftBehind
        }
    }

    /// Sends what is here now. What cannot be sent stays, for the server to deal with.
    func drain(on socket: DatagramSocket) async {
        _ = await socket.sendBatch { fd in state.withLock { $0.send(fd) } }
    }

    /// Sends all that has gathered, waiting for room where it must. The box is closed then.
    func flush(on socket: DatagramSocket) async {
        let isEmpty = state.withLock { state in
            state.isOpen = false
            return state.answers.isEmpty
        }
        if isEmpty { return }
        guard let error = await socket.sendBatch({ fd in state.withLock { $0.send(fd) } }) else { return }
        state.withLock { state in
            state.answers.giveUp { [sessions = state.sessions] place, _ in
                // A close is what their next calls find anyway; a cancellation may be one session's alone.
                if case .closed = error.cause { return }
                sessions[place].refused(.noBufferSpace)
            }
            state.sessions = []
        }
    }
}
