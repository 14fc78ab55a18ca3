internal import SocketCore

/// A moment of the monotonic clock, or never: until when to wait.
///
/// It is absolute, so that a wait which is interrupted and taken up again does not start over. Changes of the wall clock
/// do not touch it (`CLOCK_MONOTONIC` of `clock_gettime(2)`).
public struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds of CLOCK_MONOTONIC; `.max` is never.
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// No deadline.
    public static let never = Deadline(nanoseconds: .max)

    /// This moment: a wait until now does not wait.
    public static var now: Deadline { Deadline(nanoseconds: System.now) }

    /// The moment that comes after a duration; a duration too long to count is never, one below zero is now.
    public static func after(_ duration: Duration) -> Deadline {
        let (sum, overflow) = System.now.addingReportingOverflow(duration.clampedNanoseconds)
        return Deadline(nanoseconds: overflow ? .max : sum)
    }

    /// Whether it has come.
    public var isPast: Bool { nanoseconds != .max && nanoseconds <= System.now }

    /// How long from now, zero if it has come; nil for never.
    public var remaining: Duration? {
        guard nanoseconds != .max else { return nil }
        let now = System.now
        return .nanoseconds(nanoseconds > now ? Int64(clamping: nanoseconds - now) : 0)
    }

    /// The earlier comes first.
    public static func < (a: Deadline, b: Deadline) -> Bool { a.nanoseconds < b.nanoseconds }
}

extension Duration {
    /// Whole nanoseconds, from 0 up to what 64 bits hold.
    package var clampedNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return overflow || carry ? .max : sum
    }
}

/// Milliseconds from `now` until a moment, as poll(2) and epoll_wait(2) take them: rounded up, so that a wait never ends
/// just before its deadline and spins; -1 for never.
func pollTimeout(until nanoseconds: UInt64, now: UInt64) -> CInt {
    guard nanoseconds != .max else { return -1 }
    guard nanoseconds > now else { return 0 }
    let left = nanoseconds - now
    return CInt(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1))
}
