internal import Loops
internal import SocketCore

/// What a watch looks at.
protocol IdleWatched: AnyObject, Sendable {
    /// Whether nothing has moved since this was asked last. For the watch alone.
    func isUnmoved() -> Bool
    /// Ends it, because nothing moved.
    func endIdle()
}

/// Looks at relays once in a time, and ends those in which nothing has moved since it looked last.
///
/// One task looks at all those of a loop that have the same limit: with a task for each, a relay that waits would cost half
/// as much again. A relay is looked at first within the limit after it began; so it ends when it was silent for the limit at
/// least, and for twice that at the most.
final class IdleWatch: Sendable {
    private struct Key: Hashable {
        let loop: ObjectIdentifier?
        let limit: Duration
    }
    /// The watches that have something to look at.
    private static let all = Lock<[Key: IdleWatch]>([:])

    private let key: Key
    private let bell = Bell()
    /// Changed with `all` held, so that nobody joins a watch that is about to end.
    private let relays = Lock<[ObjectIdentifier: any IdleWatched]>([:])

    private init(_ key: Key) { self.key = key }

    /// Has a relay looked at until it leaves.
    static func join(_ relay: any IdleWatched, every limit: Duration) -> IdleWatch {
        let loop = EventLoop.current
        let key = Key(loop: loop.map { ObjectIdentifier($0) }, limit: limit)
        let (watch, isNew) = all.withLock { all in
            let found = all[key]
            let watch = found ?? IdleWatch(key)
            all[key] = watch
            watch.relays.withLock { $0[ObjectIdentifier(relay)] = relay }
            return (watch, found == nil)
        }
        if isNew { Task(executorPreference: loop) { await watch.look() } }
        return watch
    }

    /// The relay has ended.
    func leave(_ relay: any IdleWatched) {
        let isLast = relays.withLock { relays in
            relays[ObjectIdentifier(relay)] = nil
            return relays.isEmpty
        }
        if isLast { bell.ring() }
    }

    /// Until there is nothing to look at, or the loop ends, and all its relays with it.
    private func look() async {
        while !isOver() {
            guard let isRung = try? await bell.wait(until: .after(key.limit), .receive) else { break }
            // All that are here now came after that, and have their time before them.
            if isRung { continue }
            let silent = relays.withLock { Array($0.values) }.filter { $0.isUnmoved() }
            if silent.isEmpty { continue }
            // A loop that is late has first to look at what came meanwhile.
            guard (try? await Bell().wait(until: .after(.milliseconds(1)), .receive)) != nil else { break }
            for relay in silent where relay.isUnmoved() { relay.endIdle() }
        }
        Self.all.withLock { $0[key] = $0[key] === self ? nil : $0[key] }
    }

    /// Whether nobody is left; then it is in nobody's reach any more.
    private func isOver() -> Bool {
        Self.all.withLock { all in
            guard relays.withLock(\.isEmpty) else { return false }
            all[key] = nil
            return true
        }
    }
}

extension Relay: IdleWatched {}
