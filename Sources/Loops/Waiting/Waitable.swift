internal import CSockets
package import SocketCore
internal import Synchronization
package import SystemPackage

// Readiness, remembered
//
// An edge-triggered poller tells a change once. Three rules keep every byte from waiting for ever:
//
// 1. An edge that comes while nobody waits is remembered (`Side.ready`) and ends the next wait at once. So between a
//    system call's EAGAIN and the wait nothing can be lost.
// 2. A wait begins only after EAGAIN, or, on TCP, after a read that gave less than was asked for: the buffer was then
//    empty, and what comes later makes an edge. That saves a system call a message.
// 3. But a short read does not mean empty where the end of the stream (RDHUP, HUP), an error or an urgent mark stands
//    behind it: their edge may have come together with the data's, and no second one follows. Once one of these has been
//    seen the short-read rule is off for the socket. It was never on for Unix sockets, whose reads stop at other borders.

/// A descriptor that tasks and threads can wait for: who uses it, who waits, until when, and who closes it.
///
/// `close` never pulls the descriptor from under a system call: it marks, wakes all who wait, and the last user closes. So
/// a number that the system gives out anew is never written to by mistake. Safe to call from any thread.
package final class Waitable: Timed, @unchecked Sendable {
    // The state word: who uses the descriptor. As in Go's fdMutex, one word, so that a close and a use cannot miss each other.
    private static let closed: UInt32 = 1
    private static let registered: UInt32 = 2
    private static let oneUse: UInt32 = 64
    private static let users: UInt32 = ~(closed | registered | queued(.receive) | queued(.send))

    /// The direction's turn is somebody's.
    private static func busy(_ direction: Direction) -> UInt32 { direction == .receive ? 4 : 8 }
    /// Somebody waits for the direction's turn.
    private static func queued(_ direction: Direction) -> UInt32 { direction == .receive ? 16 : 32 }

    /// The descriptor's number; valid for as long as the caller has a turn or a use.
    package let rawValue: CInt
    private let state = Atomic<UInt32>(0)
    let receiving = Side()
    let sending = Side()
    private let turns = Turns()
    /// The loop, retained; written once, before the bit `registered` is set.
    private let loopWord = Atomic<UInt>(0)
    /// How long a wait may last at the most, in nanoseconds; `.max` is without end.
    private let idleLimit = Atomic<UInt64>(.max)
    /// The task that `serve` runs for this socket, whose cancellation is watched for all of its waits at once.
    private let servedTask = Atomic<UInt>(0)
    private let registrationError = Atomic<CInt>(0)
    /// Whether an event was seen after which a short read says nothing (rule 3).
    private let mayHideMore: Atomic<Bool>
    /// Whether the last read found the end of what there was (rule 2). Belongs to the holder of the receive turn.
    package var isDrained: Bool {
        get { wasDrained && !mayHideMore.load(ordering: .acquiring) }
        set { wasDrained = newValue }
    }
    nonisolated(unsafe) private var wasDrained = false
    /// Safety: the last user alone takes it, to close it.
    nonisolated(unsafe) private var descriptor: Descriptor?
    /// Whether another descriptor may mean the same socket, so that closing ours would not take it out of the poller.
    private let isShared = Atomic<Bool>(false)
    /// The slot in the loop's registry. Belongs to the loop's thread.
    private var slot = UInt64.max

    /// Takes a descriptor over. `shortReadsDrain` is for TCP, where a short read means an empty buffer.
    package init(_ descriptor: consuming Descriptor, shortReadsDrain: Bool) {
        rawValue = descriptor.rawValue
        self.descriptor = consume descriptor
        mayHideMore = Atomic(!shortReadsDrain)
        super.init()
    }

    func side<R>(_ direction: Direction, _ body: (borrowing Side) -> R) -> R {
        direction == .receive ? body(receiving) : body(sending)
    }

    // MARK: - Turns and uses

    /// What came of asking for a direction's turn.
    package enum Turn { case mine, busy, closed }

    /// Takes the direction's turn if it is free.
    package func tryTakeTurn(_ direction: Direction) -> Turn {
        var found = state.load(ordering: .relaxed)
        while true {
            if found & Self.closed != 0 { return .closed }
            if found & Self.busy(direction) != 0 { return .busy }
            let (done, current) = state.weakCompareExchange(
                expected: found, desired: found | Self.busy(direction), ordering: .acquiringAndReleasing)
            if done { return .mine }
            found = current
        }
    }

    /// Gives the turn to the first who waits for it, or back.
    package func giveTurn(_ direction: Direction) {
        var found = state.load(ordering: .relaxed)
        while found & Self.queued(direction) == 0 {
            let left = found & ~Self.busy(direction)
            let (done, current) = state.weakCompareExchange(
                expected: found, desired: left, ordering: .acquiringAndReleasing)
            if done { return closeIfLast(left) }
            found = current
        }
        turns.handOver(direction) { isLast in
            // Under the queue's lock: nobody joins the queue meanwhile. The release is for what the turn guards.
            state.bitwiseAnd(isLast ? ~Self.queued(direction) : ~0, ordering: .acquiringAndReleasing)
        } orGiveBack: {
            let gone = Self.busy(direction) | Self.queued(direction)
            let left = state.bitwiseAnd(~gone, ordering: .acquiringAndReleasing).newValue
            closeIfLast(left)
        }
    }

    /// Sees all that the one who handed a turn over had written.
    func acquireTurn() {
        _ = state.load(ordering: .acquiring)
    }

    /// Joins the queue for a direction's turn; false when there is no need to: it was free and is taken, or the socket is
    /// closed (`Turn` tells).
    func joinQueue(_ direction: Direction, _ entry: Turns.Entry) -> Turn {
        turns.join(direction, entry) {
            while true {
                let turn = tryTakeTurn(direction)
                guard turn == .busy else { return turn }
                let found = state.load(ordering: .relaxed)
                // The mark must be set while the turn is still somebody's, or nobody would hand it over.
                guard found & Self.busy(direction) != 0, found & Self.closed == 0 else { continue }
                let marked = state.compareExchange(
                    expected: found, desired: found | Self.queued(direction), ordering: .acquiringAndReleasing)
                if marked.exchanged { return .busy }
            }
        }
    }

    /// Takes an entry out of the queue and wakes it, if it still stands there.
    func leaveQueue(_ id: UInt64) {
        turns.leave(id)
    }

    /// Keeps the descriptor open for as long as `body` runs; nil when it is closed.
    package func use<R>(_ body: (CInt) throws(Errno) -> R) throws(Errno) -> R? {
        guard beginUse() else { return nil }
        defer { endUse() }
        return try body(rawValue)
    }

    private func beginUse() -> Bool {
        var found = state.load(ordering: .relaxed)
        while found & Self.closed == 0 {
            let (done, current) = state.weakCompareExchange(
                expected: found, desired: found + Self.oneUse, ordering: .acquiringAndReleasing)
            if done { return true }
            found = current
        }
        return false
    }

    private func endUse() {
        closeIfLast(state.wrappingSubtract(Self.oneUse, ordering: .acquiringAndReleasing).newValue)
    }

    /// Tells that the descriptor leaves this object's hands, as a duplicate or in a child.
    package func markShared() {
        isShared.store(true, ordering: .relaxed)
    }

    // MARK: - Closing

    package var isClosed: Bool { state.load(ordering: .acquiring) & Self.closed != 0 }

    /// Wakes all who wait, who then find it closed, and closes the descriptor as soon as nobody uses it. Idempotent; true
    /// for the call that closed it.
    @discardableResult
    package func close() -> Bool {
        let before = state.bitwiseOr(Self.closed, ordering: .acquiringAndReleasing).oldValue
        guard before & Self.closed == 0 else { return false }
        // Those who queue first: a holder who is woken gives its turn on, and that of a closed socket is nobody's.
        turns.wakeAll(nil)
        recheck()
        closeIfLast(before | Self.closed)
        return true
    }

    /// `now` is the state that the caller's own step led to: exactly one step leads to closed and unused.
    private func closeIfLast(_ now: UInt32) {
        guard now & Self.closed != 0, now & Self.users == 0 else { return }
        if now & Self.registered != 0, let loop {
            if isShared.load(ordering: .relaxed) { System.epollRemove(loop.poller.rawValue, rawValue) }
            _ = loop.execute { self.forget(by: loop) }
        }
        descriptor = nil
    }

    /// On the loop's thread; the registry's reference was what kept the timers' one valid.
    private func forget(by loop: EventLoop) {
        loop.local.pointee.timers.disarm(self)
        if slot != .max { loop.local.pointee.registry.remove(slot) }
        slot = .max
    }

    // MARK: - The loop

    /// The loop whose poller tells of this socket: the one on whose thread it was first waited for, or the next of the
    /// default group.
    package var loop: EventLoop? {
        UnsafeRawPointer(bitPattern: loopWord.load(ordering: .acquiring)).map {
            // Safety: `adopt` keeps the loop for as long as this object lives.
            Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// Ties the socket to a loop, unless it is tied to one.
    package func adopt(_ loop: EventLoop) {
        guard loopWord.load(ordering: .relaxed) == 0 else { return }
        let kept = Unmanaged.passRetained(loop)
        let isFirst = loopWord.compareExchange(
            expected: 0, desired: UInt(bitPattern: kept.toOpaque()), ordering: .acquiringAndReleasing
        ).exchanged
        if !isFirst { kept.release() }
    }

    deinit {
        guard let kept = UnsafeRawPointer(bitPattern: loopWord.load(ordering: .acquiring)) else { return }
        Unmanaged<EventLoop>.fromOpaque(kept).release()
    }

    /// Registers with the loop when this is the first wait.
    package func register() throws(SocketError) {
        if state.load(ordering: .acquiring) & Self.registered != 0 { return }
        if loop == nil {
            if let current = EventLoop.current { adopt(current) } else { adopt(try EventLoopGroup.shared.next()) }
        }
        guard let loop else { return }
        let before = state.bitwiseOr(Self.registered, ordering: .acquiringAndReleasing).oldValue
        guard before & Self.registered == 0 else { return }
        // The caller has a turn, so the descriptor is open now. The loop may come to it later, and looks again.
        if !loop.execute({ self.enter(loop) }) { recheck() }
    }

    /// On the loop's thread.
    private func enter(_ loop: EventLoop) {
        guard beginUse() else { return }
        defer { endUse() }
        slot = loop.local.pointee.registry.insert(self)
        do throws(Errno) {
            try System.epollAdd(loop.poller.rawValue, rawValue, events: Registry.everything, tag: slot)
        } catch {
            registrationError.store(error.rawValue, ordering: .releasing)
            loop.local.pointee.registry.remove(slot)
            slot = .max
            return recheck()
        }
        // A wait that began meanwhile could not arm what was not yet registered.
        let next = fire(now: 0)
        if next != .max { loop.local.pointee.timers.arm(self, at: next) }
    }

    /// Why the loop could not take the socket, if it could not.
    package var failure: Errno? {
        let code = registrationError.load(ordering: .acquiring)
        return code == 0 ? nil : Errno(rawValue: code)
    }

    /// Whether the loop that this socket is tied to has ended.
    package var isLoopClosed: Bool { loop?.isClosed ?? false }

    /// What the poller told. On the loop's thread.
    func becameReady(_ events: UInt32) {
        if events & (Registry.readClosed | Registry.hungUp | Registry.failed | Registry.urgent) != 0 {
            // Before the readiness itself, so that who is woken by it knows.
            mayHideMore.store(true, ordering: .releasing)
        }
        let ends = Registry.hungUp | Registry.failed
        if events & (Registry.readable | Registry.readClosed | Registry.urgent | ends) != 0 { receiving.signalReady() }
        if events & (Registry.writable | ends) != 0 { sending.signalReady() }
    }

    /// The loop ends: whoever waits finds it closed.
    func loopClosed() {
        turns.wakeAll(nil)
        recheck()
    }

    /// Has the one that waits in a direction, or will wait next, try again: something happened of which no event may tell.
    package func retry(_ direction: Direction) {
        side(direction) { $0.signalReady() }
    }

    /// Has those who wait look at all that can end a wait.
    func recheck() {
        receiving.signalRecheck()
        sending.signalRecheck()
    }

    // MARK: - What ends a wait early

    /// The moment until which verbs of a direction may wait. A change takes effect on waits under way too.
    package func setDeadline(_ deadline: Deadline, _ direction: Direction) {
        side(direction) { $0.deadline.store(deadline.nanoseconds, ordering: .releasing) }
        side(direction) { $0.signalRecheck() }
        turns.wakeAll(direction)
    }

    package func deadline(_ direction: Direction) -> Deadline {
        Deadline(nanoseconds: side(direction) { $0.deadline.load(ordering: .acquiring) })
    }

    /// How long each wait may last at the most; nil is without end.
    package var idleTimeout: Duration? {
        get {
            let limit = idleLimit.load(ordering: .relaxed)
            return limit == .max ? nil : .nanoseconds(Int64(clamping: limit))
        }
        set { idleLimit.store(newValue?.clampedNanoseconds ?? .max, ordering: .relaxed) }
    }

    /// Until when a wait that begins now may last.
    func waitEnd(_ direction: Direction, now: @autoclosure () -> UInt64) -> UInt64 {
        let deadline = side(direction) { $0.deadline.load(ordering: .acquiring) }
        let limit = idleLimit.load(ordering: .relaxed)
        guard limit != .max else { return deadline }
        let (end, overflow) = now().addingReportingOverflow(limit)
        return min(deadline, overflow ? .max : end)
    }

    /// Whether the last wait in a direction lasted as long as it might.
    package func hasTimedOut(_ direction: Direction) -> Bool {
        let end = side(direction) { $0.waitUntil.load(ordering: .acquiring) }
        return end != .max && end <= System.now
    }

    /// Counts a verb that never waited; true when so many came in a row that the task should let others of its loop run.
    package func tookWithoutWait(_ direction: Direction) -> Bool {
        guard direction == .receive else {
            sendStreak &+= 1
            return sendStreak % Self.longestStreak == 0
        }
        receiveStreak &+= 1
        return receiveStreak % Self.longestStreak == 0
    }

    private static let longestStreak: UInt8 = 32
    /// Each belongs to the holder of its direction's turn.
    nonisolated(unsafe) private var receiveStreak: UInt8 = 0
    nonisolated(unsafe) private var sendStreak: UInt8 = 0

    /// A moment has come: wakes the direction whose wait ends with it. On the loop's thread.
    override func fire(now: UInt64) -> UInt64 {
        var next = UInt64.max
        for direction in [Direction.receive, .send] {
            let end = side(direction) { $0.waitUntil.load(ordering: .acquiring) }
            if end <= now { side(direction) { $0.signalRecheck() } } else { next = min(next, end) }
            let deadline = side(direction) { $0.deadline.load(ordering: .acquiring) }
            if deadline <= now { turns.wakeAll(direction) } else if !turns.isEmpty { next = min(next, deadline) }
        }
        return next
    }

    /// Has the loop look at this socket's deadlines at a moment. What is armed is registered, and so kept alive.
    func arm(at moment: UInt64) {
        guard let loop else { return }
        _ = loop.execute {
            if self.slot != .max { loop.local.pointee.timers.arm(self, at: moment) }
        }
    }

    /// The task that `serve` runs for this socket, which it wakes itself when it is cancelled; nil when it has ended.
    package func setServedTask(_ task: UInt?) {
        servedTask.store(task ?? 0, ordering: .releasing)
    }

    func isServed(by task: UInt) -> Bool {
        servedTask.load(ordering: .acquiring) == task
    }
}
