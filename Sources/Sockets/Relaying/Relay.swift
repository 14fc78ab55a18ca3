internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

// Two streams joined
//
// Each direction is a `forward` of its own and ends by itself. An end is passed on as an end, so a peer that has finished
// still gets its answer. What breaks is not passed on as an end: a reset is followed by a reset, once all that came before it
// has arrived.

/// Two connections joined: what comes from each is sent on to the other, until both directions have ended.
public final class Relay: Sendable {
    /// One direction of a relay.
    public final class Flow: Sendable {
        private let count = Atomic<UInt64>(0)
        private let pieces = Atomic<UInt64>(0)
        private let broken = Lock<SocketError?>(nil)

        /// How many bytes have been sent on.
        public var bytes: UInt64 { count.load(ordering: .relaxed) }
        /// Why it ended before its source had finished; nil until then, and when it had.
        public var failure: SocketError? { broken.withLock { $0 } }

        /// In how many pieces they came.
        public var messages: UInt64 { pieces.load(ordering: .relaxed) }

        func received() { pieces.wrappingAdd(1, ordering: .relaxed) }
        func add(_ bytes: Int) { count.wrappingAdd(UInt64(bytes), ordering: .relaxed) }
        func fail(_ error: SocketError) { broken.withLock { $0 = error } }
    }

    /// The one end.
    public let first: Connection
    /// The other end.
    public let second: Connection
    /// From the first to the second.
    public let forth = Flow()
    /// From the second to the first.
    public let back = Flow()
    private let size: Int
    private let idleTimeout: Duration?
    private let onFinish: (@Sendable (Connection) -> Void)?
    private let isIdle = Atomic<Bool>(false)

    /// How long a broken relay waits for more of what it has sent to arrive.
    private static let patience = Duration.seconds(2)

    /// A relay of two connections, which are its own from now on. It holds at most `size` bytes of each direction that have
    /// been received and cannot be sent yet, and in bulk what fits in a pipe (see `Connection.forward`). When neither direction has moved anything for `idleTimeout` it ends, at the
    /// latest after twice that. `onFinish` is told of each connection whose peer has finished, when its end has been passed on.
    public init(
        _ first: Connection, _ second: Connection, upTo size: Int = 65536, idleTimeout: Duration? = nil,
        onFinish: (@Sendable (Connection) -> Void)? = nil
    ) {
        self.first = first
        self.second = second
        self.size = size
        self.idleTimeout = idleTimeout
        self.onFinish = onFinish
    }

    /// How many descriptors all relays of a process take at the most, besides those of their connections.
    package static var sharedDescriptors: Int { SplicePipe.mostDescriptors }

    /// Moves what comes, in both directions, until both have ended; closes both connections.
    ///
    /// Waits for either side, as `Connection.forward` does. When the task is cancelled both are closed at once. Throws
    /// nothing: how each direction ended is in `forth` and `back`. When a peer has reset its connection the other gets what
    /// had come before, and then a reset. A peer that takes no more but still has something to say is heard to its end.
    /// Corresponds to `recv(2)`, `send(2)` and `shutdown(2)`.
    public func run() async {
        if let idleTimeout {
            await withDiscardingTaskGroup { tasks in
                tasks.addTask { await self.endWhenIdle(for: idleTimeout) }
                await moveBoth()
                tasks.cancelAll()
            }
        } else {
            await moveBoth()
        }
        // Each in its own time: the one may take long to let the other's words through.
        async let other: Void = end(second, said: forth, heard: back)
        await end(first, said: back, heard: forth)
        await other
    }

    private func moveBoth() async {
        await withDiscardingTaskGroup { tasks in
            tasks.addTask { await self.move(self.back, from: self.second, to: self.first, besides: self.forth) }
            await move(forth, from: first, to: second, besides: back)
        }
    }

    private func move(
        _ flow: Flow, from source: Connection, to destination: Connection, besides other: Flow
    ) async {
        do throws(SocketError) {
            _ = try await source.move(to: destination, upTo: size, counting: flow)
            try destination.finishSending()
            // Where the other direction has stopped this one, that looks like an end.
            guard let broken = other.failure, broken.operation == .receive else {
                onFinish?(source)
                return
            }
            flow.fail(destination.error(.send, broken.cause))
        } catch {
            if !isIdle.load(ordering: .acquiring) {
                flow.fail(error)
                // What still comes from there could be brought to nobody.
                if error.operation == .receive { try? destination.stopReceiving() }
            } else if other.failure?.operation == .receive {
                // Told once, of the side that was found silent first.
                flow.fail(destination.error(.send, .timedOut))
            } else {
                flow.fail((error.operation == .send ? destination : source).error(error.operation, .timedOut))
            }
        }
    }

    /// Closes both when neither direction has moved anything for a while. A direction that waits for room, or for bytes, is
    /// not idle while the other moves, so no single wait can tell.
    private func endWhenIdle(for limit: Duration) async {
        let clock = Bell()
        var seen = moved
        while (try? await clock.wait(until: .after(limit), .receive)) != nil {
            if moved == seen {
                // A loop that is late has first to look at what came meanwhile.
                guard (try? await clock.wait(until: .after(.milliseconds(1)), .receive)) != nil else { return }
            }
            if moved == seen {
                isIdle.store(true, ordering: .releasing)
                first.close()
                second.close()
                return
            }
            seen = moved
        }
    }

    /// Changes with whatever has moved.
    private var moved: UInt64 { forth.bytes &+ back.bytes &+ forth.messages &+ back.messages }

    /// Ends one side, given the direction that spoke to it and the one that heard it.
    private func end(_ side: Connection, said: Flow, heard: Flow) async {
        defer { side.close() }
        if Task.isCancelled { return }
        if said.failure?.isBreakage(.receive) ?? false {
            await side.waitUntilAcknowledged(patience: Self.patience)
            side.abort()
        } else if said.failure == nil, heard.failure != nil {
            // Not all of what it said was wanted; closed at once, that would destroy the last words to it.
            await side.finishAndClose(within: Self.patience)
        }
    }
}

extension SocketError {
    /// Whether the system told it of a verb, so that a peer or the network broke what was under way.
    fileprivate func isBreakage(_ verb: Operation) -> Bool {
        guard operation == verb, case .system = cause else { return false }
        return true
    }
}

extension Connection {
    /// Waits until all that was sent has been acknowledged, or is lost, or until nothing more has been for a while. The
    /// kernel tells nobody, so it is asked again and again, ever more rarely.
    fileprivate func waitUntilAcknowledged(patience: Duration) async {
        let clock = Bell()
        var pause = Duration.milliseconds(1)
        var deadline = Deadline.after(patience)
        var least = Int.max
        while !deadline.isPast, let left = try? unacknowledged, left > 0 {
            if left < least {
                least = left
                deadline = .after(patience)
            }
            guard (try? await clock.wait(until: .after(pause), .send)) != nil else { return }
            pause = min(pause * 2, .milliseconds(20))
        }
    }
}
