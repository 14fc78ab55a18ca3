internal import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

// Two streams joined
//
// Each direction is a `forward` of its own and ends by itself. An end is passed on as an end, so a peer that has finished
// still gets its answer. What breaks is not passed on as an end: a reset is followed by a reset, once all that came before it
// has arrived.
//
// A relay may wait for days, and there may be very many. So what is needed only before the waiting, or after it, is in
// functions of its own, whose frames are not there meanwhile.

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
    /// Why what looks like the end of a connection is none, where something stands behind it that can fail.
    private let breakage: (@Sendable (Connection, SocketError.Operation) -> SocketError?)?
    /// Called before a connection is reset: a program at its other end must not take that for the end of its input.
    private let interrupt: (@Sendable (Connection) -> Void)?
    /// Waits until that can be told.
    private let settle: (@Sendable (Connection) async -> Void)?
    private let isIdle = Atomic<Bool>(false)
    /// Of both directions, whether it has ended, and whether what still comes is dropped.
    private let stages = Atomic<UInt8>(0)
    /// What had moved when the watch looked last. Belongs to it.
    nonisolated(unsafe) private var movedBefore: UInt64?

    /// How long a broken relay waits for more of what it has sent to arrive.
    static let patience = Duration.seconds(2)

    /// A relay of two connections, which are its own from now on. It holds at most `size` bytes of each direction that have
    /// been received and cannot be sent yet, and in bulk what fits in a pipe (see `Connection.forward`). When neither
    /// direction has moved anything for `idleTimeout`, both are reset, at the latest after twice that: silence is nobody's
    /// end. `onFinish` is told of each connection whose peer has finished, when its end has been passed on. With a `size`
    /// below 1, or an `idleTimeout` that is not above zero, both directions fail with `.misuse` as soon as it runs.
    public convenience init(
        _ first: Connection, _ second: Connection, upTo size: Int = 65536, idleTimeout: Duration? = nil,
        onFinish: (@Sendable (Connection) -> Void)? = nil
    ) {
        self.init(
            first, second, upTo: size, idleTimeout: idleTimeout, onFinish: onFinish, breakage: nil, settle: nil,
            interrupt: nil)
    }

    /// The same; `breakage` is asked of a connection that has come to its end, whether it was broken behind that, and
    /// before it `settle`, which waits until that can be told. `interrupt` is called before a connection is reset.
    package init(
        _ first: Connection, _ second: Connection, upTo size: Int, idleTimeout: Duration?,
        onFinish: (@Sendable (Connection) -> Void)?,
        breakage: (@Sendable (Connection, SocketError.Operation) -> SocketError?)?,
        settle: (@Sendable (Connection) async -> Void)?, interrupt: (@Sendable (Connection) -> Void)?
    ) {
        self.first = first
        self.second = second
        self.size = size
        self.idleTimeout = idleTimeout
        self.onFinish = onFinish
        self.breakage = breakage
        self.settle = settle
        self.interrupt = interrupt
    }

    /// How many descriptors all relays of a process take at the most, besides those of their connections.
    package static var sharedDescriptors: Int { SplicePipe.mostDescriptors }

    /// Moves what comes, in both directions, until both have ended; closes both connections.
    ///
    /// Waits for either side, as `Connection.forward` does. When the task is cancelled both are reset at once, or closed
    /// where all has been sent. Throws nothing: how each direction ended is in `forth` and `back`. When a peer has reset its connection the other gets what
    /// had come before, and then a reset. A peer that takes no more but still has something to say is heard to its end; what
    /// comes for a program or a file that takes no more is dropped meanwhile. Corresponds to `recv(2)`, `send(2)` and
    /// `shutdown(2)`.
    public func run() async {
        if let wrong = SocketError.Cause.refusing("size", size) ?? .refusing("idleTimeout", idleTimeout) {
            return refuse(wrong)
        }
        let watch = beginWatch()
        await moveBoth()
        watch?.leave(self)
        await endBoth()
    }

    @inline(never)
    private func refuse(_ cause: SocketError.Cause) {
        forth.fail(first.error(.receive, cause))
        back.fail(second.error(.receive, cause))
        cut()
    }

    /// The second direction has a task of its own: no child of this one, since a group takes half a kilobyte.
    private func moveBoth() async {
        let back = Task(executorPreference: EventLoop.current) { await self.moveBack() }
        await move(.forth)
        await finish(back)
    }

    @inline(__always)
    private func moveBack() async {
        // Who cancels this task wakes it too, so that its waits need nothing for that.
        second.waitable.setServedTask(RunningTask.current.number)
        await move(.back)
        second.waitable.setServedTask(nil)
    }

    @inline(never)
    private func finish(_ back: Task<Void, Never>) async {
        await withTaskCancellationHandler {
            await back.value
        } onCancel: {
            back.cancel()
            second.waitable.recheck()
            first.waitable.recheck()
        }
    }

    // MARK: One direction

    /// A direction, as its bits in `stages`.
    private enum Way: UInt8 {
        case forth = 1
        case back = 2
        var other: Way { self == .forth ? .back : .forth }
        var hasEnded: UInt8 { rawValue }
        var isDropping: UInt8 { rawValue << 2 }
    }

    /// Whether what was said to a side could not be written there, because what its connection leads to has failed.
    func hasFailedBehind(_ side: Connection) -> Bool { breakage?(side, .send) != nil }

    @inline(__always) private func flow(_ way: Way) -> Flow { way == .forth ? forth : back }
    @inline(__always) private func source(_ way: Way) -> Connection { way == .forth ? first : second }

    // Part of its callers, since each frame has a header.
    @inline(__always)
    private func move(_ way: Way) async {
        do throws(SocketError) {
            _ = try await source(way).move(to: source(way.other), upTo: size, counting: flow(way))
            if settle != nil { await settleEnd(way) }
            try pass(way)
        } catch {
            if settle != nil, source(way).hasLeftUnread(error) { await settleEnd(way) }
            if fail(way, error) { await drop(way) }
        }
        end(way)
    }

    @inline(never)
    private func settleEnd(_ way: Way) async { await settle?(source(way)) }

    /// Passes the end of a direction's source on.
    @inline(never)
    private func pass(_ way: Way) throws(SocketError) {
        let (source, destination) = (source(way), source(way.other))
        if let broken = breakage?(source, .receive) { throw source.error(.receive, broken.cause) }
        // Where the other direction has stopped this one, that looks like an end. It must not be passed on as one.
        if let broken = flow(way.other).failure, broken.operation == .receive {
            return flow(way).fail(destination.error(.send, broken.cause))
        }
        try destination.finishSending()
        onFinish?(source)
    }

    /// Notes why a direction failed; true where what still comes is to be dropped.
    @inline(never)
    private func fail(_ way: Way, _ error: SocketError) -> Bool {
        let (flow, other) = (flow(way), flow(way.other))
        let (source, destination) = (source(way), source(way.other))
        if isIdle.load(ordering: .acquiring) {
            // Told once, of the side that was found silent first.
            let isSecond = other.failure?.operation == .receive
            let side = isSecond || error.operation == .send ? destination : source
            flow.fail(side.error(isSecond ? .send : error.operation, .timedOut))
            return false
        }
        if source.hasLeftUnread(error), (try? pass(way)) != nil { return false }
        var error = error
        if error.cause == .timedOut, let broken = breakage?(destination, .send) {
            error = destination.error(.send, broken.cause)
        }
        flow.fail(error)
        // What still comes from there could be brought to nobody.
        if error.operation == .receive { try? destination.stopReceiving() }
        // Behind it a file or a program has failed: what it still has to say is no whole.
        if error.operation == .send, breakage?(destination, .send) != nil { try? destination.stopReceiving() }
        return error.operation == .send && destination.takesNoMore(error)
    }

    /// Receives what still comes, which nobody takes: left unread it would hold up a peer that says everything before it
    /// listens, and turn the close into a reset.
    @inline(never)
    private func drop(_ way: Way) async {
        let before = stages.bitwiseOr(way.isDropping, ordering: .acquiringAndReleasing).oldValue
        if before & way.other.hasEnded != 0 { limitDropping(way) }
        while (try? await source(way).receive(upTo: size)) != nil {}
    }

    private func end(_ way: Way) {
        let before = stages.bitwiseOr(way.hasEnded, ordering: .acquiringAndReleasing).oldValue
        if before & way.other.isDropping != 0 { limitDropping(way.other) }
    }

    /// The other direction has ended, so what is dropped holds the relay up. A program or a pipe knows no reset; a peer has
    /// some time to come to its end.
    private func limitDropping(_ way: Way) {
        let source = source(way)
        source.receiveDeadline = source.origin == .paired ? .now : .after(Self.patience)
    }

    // MARK: Silence

    /// Begins to look, now and then, whether anything moves. A direction that waits for room, or for bytes, is not idle while
    /// the other moves, so no single wait can tell.
    @inline(never)
    private func beginWatch() -> IdleWatch? {
        guard let idleTimeout else { return nil }
        return IdleWatch.join(self, every: idleTimeout)
    }

    func isUnmoved() -> Bool {
        // Changes with whatever has moved.
        let moved = forth.bytes &+ back.bytes &+ forth.messages &+ back.messages
        defer { movedBefore = moved }
        return moved == movedBefore
    }

    func endIdle() {
        isIdle.store(true, ordering: .releasing)
        cut()
    }

    /// Whether the direction from one side has ended, however that came about.
    package func hasEnded(from side: Connection) -> Bool {
        let way: Way = side === first ? .forth : .back
        return stages.load(ordering: .acquiring) & way.hasEnded != 0
    }

    /// Whether all that one side has said, and its end, has been passed on to the other.
    package func hasPassedEnd(to side: Connection) -> Bool {
        let way: Way = side === first ? .back : .forth
        return stages.load(ordering: .acquiring) & way.hasEnded != 0 && flow(way).failure == nil
    }

    /// Ends the direction to a side that takes nothing any more, though nothing comes for it that would find that out.
    package func breakOff(_ side: Connection) {
        let way: Way = side === first ? .back : .forth
        guard stages.load(ordering: .acquiring) & way.hasEnded == 0 else { return }
        source(way).receiveDeadline = .now
    }

    /// Ends it at once. Neither side may take that for the other's end, so it is a reset where there is such a thing.
    package func cut() {
        reset(first)
        reset(second)
    }

    /// Closes one side so that its peer sees no end.
    func reset(_ side: Connection) {
        interrupt?(side)
        side.abort()
    }
}
