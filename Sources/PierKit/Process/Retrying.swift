internal import SocketCore
internal import Sockets

/// How often something that failed is tried again, and how long to wait before each try.
///
/// The time for a pause doubles each time, and of that it is up to half less by chance: many who failed at the same moment
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
        next = min(backoff.shortest * 2, backoff.longest)
    }

    /// Whether there is to be another try.
    var mayGoOn: Bool { retries.allows(count) }

    /// How long to wait before the next try; nil when there is to be none.
    mutating func pause() -> Duration? {
        guard mayGoOn else { return nil }
        count += 1
        defer { next = min(next * 2, backoff.longest) }
        return max(backoff.shortest, next * Double.random(in: 0.5...1))
    }
}

extension SocketError {
    /// Whether it may go better another time: not where the words themselves are wrong.
    var mayPass: Bool {
        switch cause {
        case .endpoint, .misuse: false
        default: true
        }
    }
}
