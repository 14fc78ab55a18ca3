internal import Loops
internal import SocketCore

/// Says now and then that it is time: what may happen thousands of times a second is told at most once in ten seconds.
final class Seldom: Sendable {
    private static let pause = Duration.seconds(10)
    private let next = Lock(Deadline.now)

    /// Whether the pause since it last was is over.
    var isTime: Bool {
        next.withLock { next in
            guard next.isPast else { return false }
            next = .after(Self.pause)
            return true
        }
    }
}
