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
    static let registered: UInt32 = 2
    private static let oneUse: UInt32 = 64
    private static let users: UInt32 = ~(closed | registered | queued(.receive) | queued(.send))

    /// The direction's turn is somebody's.
    private static func busy(_ direction: Direction) -> UInt32 { direction == .receive ? 4 : 8 }
    /// Somebody waits for the direction's turn.
    private static func queued(_ direction: Direction) -> UInt32 { direction == .receive ? 16 : 32 }

    // In the order that leaves no holes: a socket that waits costs this, and there may be very many.

    /// The descriptor's number; valid for as long as the caller has a turn or a use.
    package let rawValue: CInt
    /// Safety: the last user alone takes it, to close it.
    nonisolated(unsafe) private var descriptor: Descriptor?
    /// Whether the last read found the end of what there was (rule 2). Belongs to the holder of the receive turn.
    @exclusivity(unchecked) nonisolated(unsafe) private var wasDrained = false
    /// Whether an event was seen after which a short read says nothing (rule 3).
    let mayHideMore: Atomic<Bool>
    /// Whether another descriptor may mean the same socket, so that closing ours would not take it out of the poller.
    let isShared = Atomic<Bool>(false)
    let state = Atomic<UInt32>(0)
    let registrationError = Atomic<CInt>(0)
    /// The number of its slot in the loop's registry. Belongs to the loop's thread.
    var slot = UInt32.max
    private let verbsWithoutWait = Atomic<UInt8>(0)
    let receiving = Side()
    let sending = Side()
    /// The loop, retained; written once, before the bit `registered` is set.
    let loopWord = Atomic<UInt>(0)
    /// Extras, retained; or 0.
    let extrasWord = Atomic<UInt>(0)
    /// How long a wait may last at the most, in nanoseconds; `.max` is without end.
    let idleLimit = Atomic<UInt64>(.max)
    /// The task that `serve` runs for this socket; `serve` wakes it when it is cancelled, so its waits need no handler.
    private let servedTask = Atomic<UInt>(0)

    /// Whether the last read found the end of what there was (rule 2). Belongs to the holder of the receive turn.
    package var isDrained: Bool {
        get { wasDrained && !mayHideMore.load(ordering: .acquiring) }
        set { wasDrained = newValue }
    }

    /// Takes a descriptor over. `shortReadsDrain` is for TCP, where a short read means an empty buffer.
    package init(_ descriptor: consuming Descriptor, shortReadsDrain: Bool) {
        rawValue = descriptor.rawValue
        self.descriptor = consume descriptor
        mayHideMore = Atomic(!shortReadsDrain)
        super.init()
    }

    deinit {
        dropExtras()
        guard let kept = UnsafeRawPointer(bitPattern: loopWord.load(ordering: .acquiring)) else { return }
        Unmanaged<EventLoop>.fromOpaque(kept).release()
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

    /// Whether somebody has the direction's turn now.
    package func isTurnTaken(_ direction: Direction) -> Bool {
        state.load(ordering: .acquiring) & Self.busy(direction) != 0
    }

    /// Gives the turn to the first who waits for it, or back.
    package func giveTurn(_ direction: Direction) {
        var found = state.load(ordering: .relaxed)
        while found & Self.queued(direction) == 0 {
            let left = found & ~Self.busy(direction)
            let (done, current) = state.weakCompareExchange(
                expected: found, desired: left, ordering: .acquiringAndReleasing)
            if done {
                if left & Self.closed != 0 { closeIfLast(left) }
                return
            }
            found = current
        }
        needExtras().turns.handOver(direction) { isLast in
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

    /// Joins the queue for a direction's turn (`.busy`), unless it was free and is now the caller's, or the socket is closed.
    func joinQueue(_ direction: Direction, _ entry: Turns.Entry) -> Turn {
        needExtras().turns.join(direction, entry) {
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

    /// Takes an entry out of the queue and wakes it, if it is still in the queue.
    ///
    /// The queue is made here if need be: a task that is about to join it then finds this one, and its lock orders what the
    /// caller wrote before, such as a cancellation, ahead of the task's look.
    func leaveQueue(_ id: UInt64) {
        needExtras().turns.leave(id)
    }

    /// Keeps the descriptor open for as long as `body` runs; nil when it is closed.
    package func use<R>(_ body: (CInt) throws(Errno) -> R) throws(Errno) -> R? {
        guard beginUse() else { return nil }
        defer { endUse() }
        return try body(rawValue)
    }

    func beginUse() -> Bool {
        var found = state.load(ordering: .relaxed)
        while found & Self.closed == 0 {
            let (done, current) = state.weakCompareExchange(
                expected: found, desired: found + Self.oneUse, ordering: .acquiringAndReleasing)
            if done { return true }
            found = current
        }
        return false
    }

    func endUse() {
        closeIfLast(state.wrappingSubtract(Self.oneUse, ordering: .acquiringAndReleasing).newValue)
    }

    /// Tells that the descriptor leaves this object's hands, as a duplicate or in a child.
    package func markShared() {
        isShared.store(true, ordering: .relaxed)
    }

    // MARK: - Closing

    package var isClosed: Bool { state.load(ordering: .sequentiallyConsistent) & Self.closed != 0 }

    /// Wakes all who wait, who then find it closed, and closes the descriptor as soon as nobody uses it. Idempotent; true
    /// for the call that closed it.
    @discardableResult
    package func close() -> Bool {
        // Sequentially consistent, as all that a wait looks at after its waiter is in the word (see Side.swift).
        let before = state.bitwiseOr(Self.closed, ordering: .sequentiallyConsistent).oldValue
        guard before & Self.closed == 0 else { return false }
        // Those who queue first: a holder who is woken gives its turn on, and that of a closed socket is nobody's.
        extras?.turns.wakeAll(nil)
        wakeToRecheck()
        closeIfLast(before | Self.closed)
        return true
    }

    /// `now` is the state that the caller's own step led to: exactly one step leads to closed and unused.
    private func closeIfLast(_ now: UInt32) {
        guard now & Self.closed != 0, now & Self.users == 0 else { return }
        if now & Self.registered != 0, let loop {
            if isShared.load(ordering: .relaxed) { System.epollRemove(loop.poller.rawValue, rawValue) }
            if loop.isCurrent { forget(by: loop) } else { _ = loop.execute { self.forget(by: loop) } }
        }
        descriptor = nil
    }

    /// On the loop's thread; the registry's reference was what kept the timers' one valid.
    private func forget(by loop: EventLoop) {
        loop.local.pointee.timers.disarm(self)
        if slot != .max { loop.local.pointee.registry.remove(slot) }
        slot = .max
    }

    // MARK: - For serving

    /// The task that `serve` runs for this socket, which it wakes itself when it is cancelled; nil when it has ended.
    package func setServedTask(_ task: UInt?) {
        servedTask.store(task ?? 0, ordering: .releasing)
    }

    /// What `setServedTask` was told last, or 0.
    var servedWord: UInt { servedTask.load(ordering: .acquiring) }

    func isServed(by task: UInt) -> Bool {
        servedTask.load(ordering: .acquiring) == task
    }

    /// Counts a verb that did not wait; true after so many in a row, when the task should let others of its loop run. The
    /// loop then looks at its sockets before it comes back to the task.
    package func tookWithoutWait() -> Bool {
        // The two directions may count at once, and one then counts for both: it is a rule of thumb.
        let count = verbsWithoutWait.load(ordering: .relaxed) &+ 1
        guard count >= Self.verbsPerYield else {
            verbsWithoutWait.store(count, ordering: .relaxed)
            return false
        }
        verbsWithoutWait.store(0, ordering: .relaxed)
        if let loop = EventLoop.current { loop.lookNext() }
        return true
    }

    /// A verb waited, and others ran meanwhile.
    package func tookWithWait() {
        verbsWithoutWait.store(0, ordering: .relaxed)
    }

    private static let verbsPerYield: UInt8 = 32

    // MARK: - Timers

    /// A moment has come: wakes the direction whose wait ends with it. On the loop's thread.
    override func fire(now: UInt64) -> UInt64 {
        var next = UInt64.max
        for direction in [Direction.receive, .send] {
            let end = side(direction) { $0.waitUntil.load(ordering: .acquiring) }
            if end <= now { side(direction) { $0.signalRecheck() } } else { next = min(next, end) }
            guard let extras else { continue }
            let deadline = extras.deadline(direction)
            if deadline <= now {
                extras.turns.wakeAll(direction)
            } else if !extras.turns.isEmpty {
                next = min(next, deadline)
            }
        }
        return next
    }
}
