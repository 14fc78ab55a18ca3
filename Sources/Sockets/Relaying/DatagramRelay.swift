internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

// Two sides that speak in datagrams
//
// Where a stream is one of them, a framing says where its datagrams are. Nobody says that datagrams end, so what ends such
// a relay is a stream's end, the end of the session that it is for, or silence. What is lost is counted, and ends nothing:
// that a target is not there yet, or not any more, is told by the network with a datagram that came too early.

/// A sender of datagrams joined to a peer of its own: what comes from each is sent on to the other. Either may be a stream,
/// in which a `Framing` says where datagrams begin and end.
public final class DatagramRelay: Sendable {
    /// One direction of a relay.
    public final class Flow: Sendable {
        private let count = Atomic<UInt64>(0)
        private let allBytes = Atomic<UInt64>(0)
        private let datagrams = Atomic<UInt64>(0)
        private let lostOnes = Atomic<UInt64>(0)
        private let broken = Lock<SocketError?>(nil)

        /// How many bytes have been sent on, without what frames them.
        public var bytes: UInt64 { count.load(ordering: .relaxed) }
        /// How many bytes have come.
        public var received: UInt64 { allBytes.load(ordering: .relaxed) }
        /// How many datagrams have come.
        public var messages: UInt64 { datagrams.load(ordering: .relaxed) }
        /// How many of them are known not to have arrived.
        public var lost: UInt64 { lostOnes.load(ordering: .relaxed) }
        /// What ended the relay, where it was this direction's; nil when it came to its end.
        public var failure: SocketError? { broken.withLock { $0 } }

        func came(_ number: Int, _ bytes: Int) {
            datagrams.wrappingAdd(UInt64(number), ordering: .relaxed)
            allBytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
        }
        func add(_ bytes: Int) { count.wrappingAdd(UInt64(bytes), ordering: .relaxed) }
        func lose(_ number: Int = 1) { lostOnes.wrappingAdd(UInt64(number), ordering: .relaxed) }
        func fail(_ error: SocketError) { broken.withLock { $0 = error } }
    }

    /// From the client to its target.
    public let forth = Flow()
    /// From the target to the client.
    public let back = Flow()
    private let client: any DatagramEnd
    private let target: any DatagramEnd
    private let idleTimeout: Duration?
    private let linger: Duration
    private let onLoss: (@Sendable (SocketError) -> Void)?
    /// Whether the client has said all, and only answers are waited for.
    private let isLingering = Atomic<Bool>(false)
    /// What had moved when the watch looked last; belongs to the watch.
    nonisolated(unsafe) private var movedBefore: UInt64?
    /// Whether the relay is ending, so that what fails now is no news.
    private let isOver = Atomic<Bool>(false)

    /// How long a stream may leave off taking what it is sent when nothing more comes behind that.
    private static let patience = Duration.seconds(5)

    private init(
        _ client: any DatagramEnd, _ target: any DatagramEnd, idleTimeout: Duration?, linger: Duration,
        _ onLoss: (@Sendable (SocketError) -> Void)?
    ) {
        self.client = client
        self.target = target
        self.idleTimeout = idleTimeout
        self.linger = linger
        self.onLoss = onLoss
    }

    /// A session joined to a connected socket, which is the relay's own from now on. Datagrams in either direction keep the
    /// session; its end is the relay's. `onLoss` is told why a datagram is lost.
    public convenience init(
        _ client: DatagramSession, _ target: DatagramSocket, onLoss: (@Sendable (SocketError) -> Void)? = nil
    ) {
        self.init(client, target, idleTimeout: nil, linger: .zero, onLoss)
    }

    /// A session joined to a stream, which is the relay's own from now on. The target's end ends it at once. At the session's
    /// end the target is told, and its answers go on until there was none for `linger`.
    public convenience init(
        _ client: DatagramSession, _ target: Connection, framing: Framing, upTo size: Int = 65536,
        linger: Duration = .seconds(1), onLoss: (@Sendable (SocketError) -> Void)? = nil
    ) {
        self.init(
            client, target, framing: framing, upTo: size, linger: linger, onLoss: onLoss, breakage: nil,
            interrupt: nil)
    }

    /// The same; `breakage` waits until it is known how what the target's connection leads to has ended, and says why that is
    /// no end. `interrupt` is called before that connection is reset.
    package convenience init(
        _ client: DatagramSession, _ target: Connection, framing: Framing, upTo size: Int, linger: Duration,
        onLoss: (@Sendable (SocketError) -> Void)?, breakage: (@Sendable () async -> SocketError?)?,
        interrupt: (@Sendable () -> Void)?
    ) {
        self.init(
            client, FramedStream(target, framing, upTo: size, breakage: breakage, interrupt: interrupt),
            idleTimeout: nil, linger: linger, onLoss)
    }

    /// A stream joined to a connected socket; both are the relay's own from now on. When the client has finished sending,
    /// answers go on until there was none for `linger`. When neither direction has moved anything for `idleTimeout` it ends,
    /// at the latest after twice that. With a `size` below 1, or an `idleTimeout` that is not above zero, both directions
    /// fail with `.misuse` as soon as it runs.
    public convenience init(
        _ client: Connection, _ target: DatagramSocket, framing: Framing, upTo size: Int = 65536,
        idleTimeout: Duration? = nil, linger: Duration = .seconds(1), onLoss: (@Sendable (SocketError) -> Void)? = nil
    ) {
        self.init(
            client, target, framing: framing, upTo: size, idleTimeout: idleTimeout, linger: linger, onLoss: onLoss,
            breakage: nil, interrupt: nil)
    }

    /// The same; `breakage` waits until it is known how what the client's connection leads to has ended, and says why that is
    /// no end. `interrupt` is called before that connection is reset.
    package convenience init(
        _ client: Connection, _ target: DatagramSocket, framing: Framing, upTo size: Int, idleTimeout: Duration?,
        linger: Duration, onLoss: (@Sendable (SocketError) -> Void)?, breakage: (@Sendable () async -> SocketError?)?,
        interrupt: (@Sendable () -> Void)?
    ) {
        self.init(
            FramedStream(client, framing, upTo: size, breakage: breakage, interrupt: interrupt), target,
            idleTimeout: idleTimeout,
            linger: linger, onLoss)
    }

    /// Why it cannot run.
    private var refusal: SocketError? {
        let size = (client as? FramedStream)?.size ?? (target as? FramedStream)?.size ?? 1
        let wrong = SocketError.Cause.refusing("size", size) ?? .refusing("idleTimeout", idleTimeout)
        return wrong.map { SocketError(.receive, $0) }
    }

    /// How many datagrams are known to be lost, of both directions; with those for which a session had no room.
    public var lost: UInt64 {
        let unheld = (client as? DatagramSession)?.droppedCount ?? 0
        return forth.lost &+ back.lost &+ UInt64(clamping: unheld)
    }

    /// Moves what comes, in both directions, until it ends; closes what is the relay's own.
    ///
    /// Waits for either side. A Unix socket whose queue is full is waited for, up to a second; a stream for as long as it
    /// does not read, behind the other's end up to five seconds each time (or `linger`), and a client's end up to two. Where
    /// that cuts a datagram in a stream, it is reset, and so is a client's stream where a direction failed or was silent for the
    /// idle time. When the task is cancelled all ends at once, streams by a reset. Throws nothing: how each
    /// direction ended is in `forth` and `back`. Corresponds to `recvmmsg(2)`, `sendmmsg(2)`, `recv(2)` and `send(2)`.
    public func run() async {
        if let wrong = refusal {
            forth.fail(wrong)
            back.fail(wrong)
            target.end()
            return client.end()
        }
        (client as? DatagramSession)?.whenFinished { [target, linger] in
            // It may be stuck in a send to one who does not read.
            target.limitEachSend(to: max(linger, Self.patience))
        }
        let watch = idleTimeout.map { IdleWatch.join(self, every: $0) }
        await moveBoth()
        watch?.leave(self)
        endTarget()
        guard let stream = client as? FramedStream else { return }
        if Task.isCancelled { return stream.cut() }
        if forth.failure != nil || back.failure != nil { return await stream.finishBroken() }
        // Closed with words of its own unread, it would lose our last ones.
        await stream.finish()
        stream.end()
    }

    /// Ends the target: by a reset where what was still to be said on either side is cut short.
    private func endTarget() {
        let isCut = Task.isCancelled || back.failure?.operation == .receive
        if isCut, let stream = target as? FramedStream { stream.cut() } else { target.end() }
    }

    /// The second direction has a task of its own: no child of this one, since a group takes half a kilobyte.
    private func moveBoth() async {
        let back = Task(executorPreference: EventLoop.current) { await self.moveBack() }
        await moveForth()
        await withTaskCancellationHandler {
            await back.value
        } onCancel: {
            back.cancel()
        }
    }

    private func moveForth() async {
        do throws(SocketError) {
            try await move(forth, from: client, to: target, besides: back)
        } catch {
            if !note(error, in: forth) { return end() }
        }
        // A session that is over has been silent for long, and so has its peer.
        guard client is FramedStream || target is FramedStream, !isOver.load(ordering: .acquiring) else { return end() }
        isLingering.store(true, ordering: .sequentiallyConsistent)
        target.tellEnd()
        target.limitReceive(to: .after(linger))
        client.limitEachSend(to: max(linger, Self.patience))
    }

    private func moveBack() async {
        do throws(SocketError) {
            try await move(back, from: target, to: client, besides: forth)
        } catch {
            let isSilence = error.cause == .timedOut && isLingering.load(ordering: .acquiring)
            if !(isSilence && error.operation == .receive) { _ = note(error, in: back) }
        }
        end()
    }

    /// Notes why a direction ended. Whether answers are still to be waited for: what a client's framing has wrong comes
    /// after what it had right.
    private func note(_ error: SocketError, in flow: Flow) -> Bool {
        guard !isOver.load(ordering: .acquiring), error.cause != .cancelled else { return false }
        flow.fail(error)
        return flow === forth && error.operation == .receive && !error.isWordOfTheSystem
    }

    /// Ends both sides; first come, first heard.
    private func end() {
        isOver.store(true, ordering: .sequentiallyConsistent)
        endTarget()
        guard let stream = client as? FramedStream else { return client.end() }
        // Its last words are still to arrive: it is closed when all is over, and goes on receiving until then. A socket that
        // is shut down for it answers what still comes with a reset.
        stream.stop()
    }

    private func move(
        _ flow: Flow, from source: some DatagramEnd, to destination: some DatagramEnd, besides other: Flow
    ) async throws(SocketError) {
        var batch: [[UInt8]] = []
        var hops: CInt = -1
        while !isOver.load(ordering: .relaxed) {
            // Not before the last ones were sent, which may have taken longer.
            if flow === back, isLingering.load(ordering: .acquiring) { source.limitReceive(to: .after(linger)) }
            let goesOn = try await source.receive(into: &batch) { which, error in
                if which == .received { flow.came(1, 0) }
                lose(which == .received ? flow : other, error)
            }
            guard goesOn else { return }
            flow.came(batch.count, batch.reduce(0) { $0 + $1.count })
            if source.hops != hops {
                hops = source.hops
                destination.setHops(hops)
            }
            try await send(batch, to: destination, flow)
            // No more than a few words are held while it waits.
            if batch.capacity > 8 { batch = [] } else { batch.removeAll(keepingCapacity: true) }
        }
    }

    private func send(_ batch: [[UInt8]], to destination: some DatagramEnd, _ flow: Flow) async throws(SocketError) {
        var done = Sent()
        defer { flow.add(done.bytes) }
        do throws(SocketError) {
            try await destination.send(batch, done: &done, unless: { isOver.load(ordering: .acquiring) }) {
                lose(flow, $0)
            }
            flow.lose(batch.count - done.datagrams)
        } catch {
            let rest = batch.count - done.datagrams
            // Who ended it asks for no reason.
            let isWanted = !isOver.load(ordering: .acquiring) && error.cause != .cancelled
            if isWanted { for _ in 0..<rest { lose(flow, error) } } else { flow.lose(rest) }
            throw error
        }
    }

    private func lose(_ flow: Flow, _ error: SocketError) {
        flow.lose()
        onLoss?(error)
    }
}

extension DatagramRelay: IdleWatched {
    func isUnmoved() -> Bool {
        let moved = forth.messages &+ back.messages
        defer { movedBefore = moved }
        return moved == movedBefore
    }

    func endIdle() {
        if let stream = client as? FramedStream, forth.failure == nil {
            forth.fail(stream.connection.error(.receive, .timedOut))
        }
        end()
    }
}

extension SocketError {
    /// Whether the system told it, so that the connection is broken.
    fileprivate var isWordOfTheSystem: Bool {
        if case .system = cause { true } else { false }
    }
}
