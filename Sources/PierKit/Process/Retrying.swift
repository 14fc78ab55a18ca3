/// How often something that failed is tried again, and how long to wait before each try.
///
/// Each pause is up to twice as long as the last, and of that somewhat less by chance: many who failed at the same moment
/// shall not come back at the same moment.
struct Retrying: Sendable {
    private let retries: Retries
    private let backoff: Backoff
    private var next: Duration
    /// How many pauses there were.
    private(set) var count = 0

    init(_ retries: Retries, _ backoff: Backoff) {
        self.retries = retries
        self.backoff = backoff
        next = backoff.shortest
    }

    /// Whether there is to be another try.
    var mayGoOn: Bool { retries.allows(count) }

    /// How long to wait before the next try; nil when there is to be none.
    mutating func pause() -> Duration? {
        guard mayGoOn else { return nil }
        count += 1
        defer { next = min(next * 2, backoff.longest) }
        return next * Double.random(in: 0.5...1)
    }
}
