internal import SocketCore
internal import Sockets

/// Counts what is still under way; tells the first error, or none, when nothing is.
final class Countdown: Sendable {
    private let state: Lock<(count: Int, error: SocketError?)>
    private let ended: @Sendable (SocketError?) -> Void

    init(_ count: Int, _ ended: @escaping @Sendable (SocketError?) -> Void) {
        state = Lock((count, nil))
        self.ended = ended
    }

    func begin() { state.withLock { $0.count += 1 } }

    func end(_ error: SocketError?) {
        let (isLast, error) = state.withLock { state in
            state.count -= 1
            state.error = state.error ?? error
            return (state.count == 0 || error != nil, state.error)
        }
        if isLast { ended(error) }
    }
}
