internal import SocketCore

/// The relays that go on, so that those that are still there when all is cut short are dealt with.
final class Ongoing: Sendable {
    private let all = Lock<[ObjectIdentifier: @Sendable () -> Void]>([:])

    /// A relay has begun; `cut` is done where it is cut short.
    func enter(_ relay: AnyObject, cut: @escaping @Sendable () -> Void) {
        all.withLock { $0[ObjectIdentifier(relay)] = cut }
    }

    /// It has ended; false where it was cut short before.
    func leave(_ relay: AnyObject) -> Bool { all.withLock { $0.removeValue(forKey: ObjectIdentifier(relay)) } != nil }

    /// Cuts short what goes on.
    func cutAll() {
        let left = all.withLock { all in
            defer { all = [:] }
            return all
        }
        for cut in left.values { cut() }
    }
}
