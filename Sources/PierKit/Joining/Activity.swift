internal import Loops
internal import SocketCore

/// When something last moved between this side and its peer, either way: it tells a peer that is slow from one that is
/// silent.
final class Activity: Sendable {
    private let state = Lock((last: Deadline.now, unacknowledged: 0))

    /// Something moved.
    func note() {
        state.withLock { $0.last = .now }
    }

    /// How much is left of a time in which nothing moves; nil when it is over. Who takes what was sent earlier moves too, and
    /// shows it only by what is `unacknowledged` still.
    func left(of limit: Duration, unacknowledged: Int) -> Duration? {
        state.withLock { state in
            if unacknowledged != state.unacknowledged { state = (.now, unacknowledged) }
            let silence = Duration.nanoseconds(
                Int64(clamping: Deadline.now.nanoseconds &- state.last.nanoseconds))
            return silence < limit ? limit - silence : nil
        }
    }
}
