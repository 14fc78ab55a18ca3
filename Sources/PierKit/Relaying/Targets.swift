internal import Loops
internal import Sockets
internal import Synchronization

/// Where a client may be joined to, and how to get there.
struct Destination: Sendable {
    let endpoint: Endpoint
    let source: SocketAddress?
    let family: AddressFamily?
    let timeout: Duration?

    func connect(_ trace: Trace?) async throws(SocketError) -> Connection {
        try await Connection(to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
    }
}

/// The targets of a relay: each client gets the next one in turn, and where that refuses, the one after it.
final class Targets: Sendable {
    private let all: [Destination]
    private let tries: Retrying
    private let next = Atomic<UInt>(0)

    init(_ all: [Destination], retry: Retries, backoff: Backoff) {
        self.all = all
        tries = Retrying(retry, backoff)
    }

    /// A connection to the first that takes it. `onRefusal` is told of each try that failed.
    ///
    /// Waits as long as connecting and all further tries take, or until `isWanted` says no more. Throws the last failure.
    func connect(
        _ trace: Trace?, isWanted: () -> Bool, onRefusal: (Destination, SocketError) -> Void
    ) async throws(SocketError) -> Connection {
        let start = next.wrappingAdd(1, ordering: .relaxed).oldValue
        var tries = tries
        while true {
            var last = SocketError(.connect, .closed)
            for step in all.indices {
                let target = all[Int((start &+ UInt(step)) % UInt(all.count))]
                do throws(SocketError) {
                    return try await target.connect(trace)
                } catch {
                    if error.cause == .cancelled { throw error }
                    onRefusal(target, error)
                    last = error
                }
            }
            guard isWanted(), let pause = tries.pause() else { throw last }
            _ = try await Bell().wait(until: .after(pause), .connect)
        }
    }
}
