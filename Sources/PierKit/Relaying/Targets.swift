internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization

/// The targets of a relay: each client gets the next one in turn, and where that refuses, the one after it.
final class Targets: Sendable {
    private let all: [Destination]
    private let tries: Retrying
    private let next = Atomic<UInt>(0)

    init(_ all: [Destination], _ tries: Retrying) {
        self.all = all
        self.tries = tries
    }

    var endpoints: [Endpoint] { all.map(\.endpoint) }

    /// Whether nobody can be joined to any of them any more.
    var areSpent: Bool { all.allSatisfy(\.isSpent) }

    /// Takes over what this process was started with; to be called before there are others of its descriptors.
    func open(_ trace: Trace?) throws(SocketError) {
        for target in all { try target.open(trace) }
    }

    func close() {
        for target in all { target.close() }
    }

    /// A stream to the first that takes the client. `onRefusal` is told of each try that failed, and whether it was the last.
    ///
    /// Waits as long as connecting and all further tries take, or until `isWanted` says no more. Throws the last failure.
    func connect(
        for client: Connection, _ trace: Trace?, isWanted: () -> Bool,
        onRefusal: (_ target: Destination, _ error: SocketError, _ isLast: Bool) -> Void
    ) async throws(SocketError) -> (OpenedStream, Destination) {
        try await first(isWanted: isWanted, onRefusal: onRefusal) { (target) throws(SocketError) in
            try await target.connect(for: client, trace).map { ($0, target) }
        }
    }

    private func target(_ start: UInt, _ step: Int) -> Destination {
        all[Int((start &+ UInt(step)) % UInt(all.count))]
    }

    /// Whether it is datagrams that go to them.
    var carryDatagrams: Bool { all.first?.isDatagrams ?? false }

    /// The same by another way to connect, which gives nil where a target has nothing left.
    func first<Target>(
        isWanted: () -> Bool, onRefusal: (_ target: Destination, _ error: SocketError, _ isLast: Bool) -> Void,
        by open: (Destination) async throws(SocketError) -> Target?
    ) async throws(SocketError) -> Target {
        let start = next.wrappingAdd(1, ordering: .relaxed).oldValue
        var tries = tries
        while true {
            var last = SocketError(.connect, .misuse("every target is there for one client, and has it"))
            var (isDecided, mayPass) = (false, false)
            for step in all.indices {
                let target = target(start, step)
                do throws(SocketError) {
                    if let found = try await open(target) { return found }
                } catch {
                    if error.cause == .cancelled { throw error }
                    mayPass = mayPass || error.mayPass
                    let isLastOfRound = (step + 1..<all.count).allSatisfy { self.target(start, $0).isSpent }
                    let isEnough = isLastOfRound && (!isWanted() || areSpent || !tries.mayGoOn || !mayPass)
                    onRefusal(target, error, isEnough)
                    if isEnough { throw error }
                    isDecided = isLastOfRound
                    last = error
                }
            }
            guard isDecided || (isWanted() && !areSpent), let pause = tries.pause() else { throw last }
            try await Self.wait(pause, while: isWanted)
            if !isWanted() { throw last }
        }
    }

    /// Waits, but not for long behind the end of who is waited for: nothing tells of that, so it is asked now and then.
    private static func wait(_ pause: Duration, while isWanted: () -> Bool) async throws(SocketError) {
        let end = Deadline.after(pause)
        while !end.isPast, isWanted() {
            _ = try await Bell().wait(until: min(end, .after(.milliseconds(500))), .connect)
        }
    }
}
