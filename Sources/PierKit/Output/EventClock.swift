internal import Sockets

typealias EventMember = (name: String, value: JSON)

/// The time of events: the wall clock's at the start, and from then on what the monotonic clock has counted. So it never
/// goes back.
struct EventClock: Sendable {
    private let start = WallClock.now
    private let began = Deadline.now

    var elapsed: Duration { .nanoseconds(Int64(clamping: Deadline.now.nanoseconds &- began.nanoseconds)) }

    func line(_ name: String, _ members: [EventMember]) -> String {
        let now = UInt64(clamping: start.seconds) &* 1_000_000_000 &+ UInt64(clamping: start.nanoseconds)
        let all: [EventMember] = [("time", .seconds(now &+ elapsed.clampedNanoseconds)), ("event", .string(name))]
        return JSON.object((all + members).map { JSON.Member(name: $0.name, value: $0.value) }).text
    }
}
