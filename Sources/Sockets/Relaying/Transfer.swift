internal import Loops
internal import SocketCore
internal import SystemPackage

// The fourth driver
//
// Bytes that go on as they came need no task between a receive and a send: a suspension, two verbs and an array for each
// message are what a task costs there. So while a task waits for all of it (`Connection+Forwarding.swift`), the loop calls
// this object when there is something to receive or room to send. It does both through the loop's buffer, and waits again.
// The turns stay taken; deadlines, closes and cancellations end a wait here as they do for a task. None of it is traced.

/// Bytes on their way from one connection to another, or back to the same, moved by the loop that both belong to.
///
/// Safety: all of it is touched on the loop's thread only, or when the loop has ended.
final class Transfer: @unchecked Sendable {
    /// Why the task that waits is to go on.
    enum Outcome {
        /// The source has finished sending.
        case finished
        /// Something may have ended the wait in a direction; if nothing has, the transfer is to be taken up again.
        case changed(Direction)
        /// A system call failed.
        case failed(Direction, Errno)
    }

    private let source: Connection
    private let destination: Connection
    private let loop: EventLoop
    /// This as one who waits.
    @exclusivity(unchecked) private var me = Waiter.nobody
    /// The most that is received at once.
    private let most: Int
    /// The task that waits, which may be cancelled.
    private let task = RunningTask.current
    /// The same as what can be resumed.
    @exclusivity(unchecked) private var waiting: Waiter?
    /// What was received and not sent yet; only where there was no room for it.
    @exclusivity(unchecked) private var held: [UInt8] = []
    @exclusivity(unchecked) private var sent = 0
    /// By way of which it goes where much comes at a time, instead of through the loop's buffer.
    @exclusivity(unchecked) private var pipe: SplicePipe?
    /// Whether much comes at a time.
    @exclusivity(unchecked) private var isBulk = false
    /// How many times in a row as much came as there was room for.
    @exclusivity(unchecked) private var fullReads: UInt8 = 0
    /// Whether one of the sockets knows no pipes.
    @exclusivity(unchecked) private var mustCopy = false
    /// What the socket is waited for.
    @exclusivity(unchecked) private var awaited = Direction.receive
    @exclusivity(unchecked) private(set) var outcome = Outcome.changed(.receive)
    /// How many bytes have been sent on.
    @exclusivity(unchecked) private(set) var count: UInt64 = 0
    /// Where that is counted too.
    private let flow: Relay.Flow?

    /// After so many, it is taken for a transfer in bulk.
    private static let fullReadsForPipe = 2
    /// Less than this at a time is better copied.
    private static let leastForPipe = 16384

    /// So many messages and bytes, then the others of the loop have their turn.
    private static let messagesPerTurn = 16
    private static let bytesPerTurn = 256 << 10

    /// Nil unless both connections belong to the loop on which this task runs.
    init?(from source: Connection, to destination: Connection, upTo most: Int, counting flow: Relay.Flow?) {
        guard let loop = EventLoop.current else { return nil }
        // Who has not waited yet belongs to none.
        source.waitable.adopt(loop)
        destination.waitable.adopt(loop)
        guard source.waitable.loop === loop, destination.waitable.loop === loop else { return nil }
        self.source = source
        self.destination = destination
        self.loop = loop
        self.most = most
        self.flow = flow
        me = Waiter(calling: self)
        _ = Self.canBeCalled
    }

    /// Once for the process: the layer below does not know whom it calls.
    private static let canBeCalled: Void = {
        Parking.call = { pointer, wake in
            // Safety: the task that waits keeps it alive, and is resumed by nothing else.
            Unmanaged<Transfer>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.call(Wake(told: wake)) }
        }
    }()

    deinit { pipe?.give() }

    /// Begins, or goes on; the waiter is resumed when there is an outcome. The caller has both turns, and has registered
    /// both sockets.
    func start(_ waiter: Waiter) {
        waiting = waiter
        call(.ready)
    }

    private func call(_ wake: Wake) {
        if loop.isCurrent || !loop.execute({ self.goOn(wake) }) { goOn(wake) }
    }

    private func goOn(_ wake: Wake) {
        if wake == .recheck {
            outcome = .changed(awaited)
        } else if let end = move() {
            outcome = end
        } else {
            return
        }
        let waiter = waiting
        waiting = nil
        waiter?.resume(.ready)
    }

    /// What a wait would have found. There may always be something to move, and never a wait.
    private var isOver: Bool {
        source.waitable.isClosed || destination.waitable.isClosed || task.isCancelled || loop.isClosed
            || source.waitable.deadline(.receive).isPast || destination.waitable.deadline(.send).isPast
    }

    /// Moves what there is; nil when it waits, or has had its turn.
    private func move() -> Outcome? {
        if awaited == .receive { source.waitable.isDrained = false }
        var messages = 0
        let before = count
        while messages < Self.messagesPerTurn, count &- before < Self.bytesPerTurn {
            do throws(Errno) {
                switch try step() {
                case .done(true): messages += 1
                case .done(false): return .finished
                case .wait(let direction):
                    guard let wake = park(direction) else { return nil }
                    if wake == .recheck { return .changed(direction) }
                    if direction == .receive { source.waitable.isDrained = false }
                }
            } catch {
                return .failed(awaited, error)
            }
        }
        if isOver { return .changed(awaited) }
        loop.callNext(me)
        return nil
    }

    private func park(_ direction: Direction) -> Wake? {
        let waitable = direction == .receive ? source.waitable : destination.waitable
        return waitable.park(me, direction, of: task)
    }

    /// Moves one message; false at the end.
    private func step() throws(Errno) -> Attempt<Bool> {
        if !held.isEmpty { return try sendHeld() }
        if isBulk, source.unread.isEmpty, let attempt = try stepByPipe() { return attempt }
        awaited = .receive
        if source.isKnownToBeEmpty { return .wait(.receive) }
        guard let scratch = EventLoop.scratch else { return .wait(.receive) }
        let buffer = UnsafeMutableRawBufferPointer(start: scratch.baseAddress, count: min(most, scratch.count))
        switch try source.attemptReceive(source.waitable.rawValue, into: buffer) {
        case .wait: return .wait(.receive)
        case .done(0): return .done(false)
        case .done(let received):
            awaited = .send
            flow?.received()
            noteSize(received, of: buffer.count)
            let message = UnsafeRawBufferPointer(start: buffer.baseAddress, count: received)
            sent = 0
            if case .done = try destination.attemptSend(destination.waitable.rawValue, message, &sent) {
                note(received)
                return .done(true)
            }
            note(sent)
            held = Array(message[sent...])
            sent = 0
            return .wait(.send)
        }
    }

    /// Moves what there is by way of the pipe; nil where the loop's buffer is the way, or the place to find the end.
    @inline(never)
    private func stepByPipe() throws(Errno) -> Attempt<Bool>? {
        guard let pipe = pipe ?? SplicePipe.take() else {
            isBulk = false
            return nil
        }
        self.pipe = pipe
        if pipe.count == 0 {
            awaited = .receive
            let filled: Attempt<Int>
            do throws(Errno) {
                filled = try pipe.fill(from: source.waitable.rawValue)
            } catch {
                guard error == .invalidArgument else { throw error }
                mustCopy = true
                leaveBulk()
                return nil
            }
            switch filled {
            case .wait:
                // Whoever waits has no need of a pipe.
                givePipe()
                return .wait(.receive)
            case .done(0):
                leaveBulk()
                return nil
            case .done(let moved):
                flow?.received()
                if moved < Self.leastForPipe { isBulk = false }
            }
        }
        awaited = .send
        while pipe.count > 0 {
            do throws(Errno) {
                switch try pipe.drain(into: destination.waitable.rawValue) {
                case .wait:
                    isBulk = true
                    return .wait(.send)
                case .done(let moved): note(moved)
                }
            } catch {
                destination.note(breakage: error)
                throw error
            }
        }
        if !isBulk { leaveBulk() }
        return .done(true)
    }

    private func givePipe() {
        pipe?.give()
        pipe = nil
    }

    private func leaveBulk() {
        givePipe()
        isBulk = false
        fullReads = 0
    }

    /// Counts reads that were as large as could be.
    private func noteSize(_ received: Int, of most: Int) {
        guard received == most, most == EventLoop.scratchSize, !mustCopy else {
            fullReads = 0
            return
        }
        fullReads += 1
        if fullReads < Self.fullReadsForPipe { return }
        isBulk = true
        fullReads = 0
    }

    private func note(_ bytes: Int) {
        count &+= UInt64(bytes)
        flow?.add(bytes)
    }

    private func sendHeld() throws(Errno) -> Attempt<Bool> {
        awaited = .send
        let before = sent
        defer { note(sent - before) }
        let bytes = pointer(to: held.span.bytes)
        guard case .done = try destination.attemptSend(destination.waitable.rawValue, bytes, &sent) else {
            return .wait(.send)
        }
        held = []
        return .done(true)
    }
}
