internal import Loops
internal import SocketCore
internal import SystemPackage

// The fourth driver
//
// Bytes that go on as they came need no task between a receive and a send: a suspension, two verbs and an array for each
// message are what a task costs there. So while a task waits for all of it (`Connection+Forwarding.swift`), the loop calls
// this object when there is something to receive or room to send. It does both through the loop's buffer, and waits again.
// The turn to receive stays taken; deadlines, closes and cancellations end a wait here as they do for a task. None of it is
// traced. How bytes are moved is in Transfer+Moving.swift.

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
        /// Another's send is under way; the transfer is to be taken up again with the turn to send.
        case needsTurn
        /// A system call failed.
        case failed(Direction, Errno)
    }

    let source: Connection
    let destination: Connection
    /// Their sockets, a step nearer: each message needs them several times.
    let from: Waitable
    let into: Waitable
    private let loop: EventLoop
    /// The one in force for the task: here no task runs.
    private let interposer = Interposer.current
    /// This as one who waits.
    @exclusivity(unchecked) private var me = Waiter.nobody
    /// The most that is received at once.
    let most: Int
    /// The task that waits, which may be cancelled.
    private let task = RunningTask.current
    /// The same as what can be resumed.
    @exclusivity(unchecked) private var waiting: Waiter?
    /// Whether it has the destination's turn to send: for as long as a message is on its way, as for any other send.
    @exclusivity(unchecked) var hasTurn = false
    /// What was received and not sent yet; only where there was no room for it, or no turn.
    @exclusivity(unchecked) var held: [UInt8] = []
    @exclusivity(unchecked) var sent = 0
    /// How many bytes of the message under way were sent; 0 between two messages.
    @exclusivity(unchecked) var sentOfMessage = 0
    /// By way of which it goes where much comes at a time, instead of through the loop's buffer.
    @exclusivity(unchecked) var pipe: SplicePipe?
    /// Whether much comes at a time.
    @exclusivity(unchecked) var isBulk = false
    /// How many times in a row as much came as there was room for.
    @exclusivity(unchecked) var fullReads: UInt8 = 0
    /// Whether one of the sockets knows no pipes.
    @exclusivity(unchecked) var mustCopy = false
    /// What the socket is waited for.
    @exclusivity(unchecked) var awaited = Direction.receive
    @exclusivity(unchecked) private(set) var outcome = Outcome.changed(.receive)
    /// How many bytes have been sent on.
    @exclusivity(unchecked) var count: UInt64 = 0
    /// Where that is counted too.
    let flow: Relay.Flow?

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
        from = source.waitable
        into = destination.waitable
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

    /// Begins, or goes on; the waiter is resumed when there is an outcome. The caller has the turn to receive, and has
    /// registered both sockets.
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
        } else {
            let end = if let interposer { interposer.standingIn { move() } } else { move() }
            guard let end else { return }
            outcome = end
        }
        let waiter = waiting
        waiting = nil
        waiter?.resume(.ready)
    }

    /// Whether it can go on only with the turn to send.
    var needsTurn: Bool {
        if case .needsTurn = outcome { return true }
        return false
    }

    /// Takes the turn to send, behind those who came first.
    @inline(never)
    func queueForTurn() async throws(SocketError) {
        try await destination.queue(.send, .send, .send)
        hasTurn = true
    }

    /// Marks the message under way as cut, if some of its bytes were sent.
    func noteCut(_ error: SocketError) {
        if hasTurn { destination.noteCut(after: sentOfMessage, error) }
    }

    /// Gives back the turn to send, if it is the transfer's.
    func giveTurn() {
        guard hasTurn else { return }
        hasTurn = false
        into.giveTurn(.send)
    }

    /// What a wait would have found. There may always be something to move, and never a wait.
    private var isOver: Bool {
        from.isClosed || into.isClosed || task.isCancelled || loop.isClosed
            || from.deadline(.receive).isPast || into.deadline(.send).isPast
    }

    /// Moves what there is; nil when it waits, or has had its turn.
    private func move() -> Outcome? {
        if awaited == .receive { from.isDrained = false }
        var messages = 0
        let before = count
        while messages < Self.messagesPerTurn, count &- before < Self.bytesPerTurn {
            do throws(Errno) {
                switch try step() {
                case .moved: messages += 1
                case .finished: return .finished
                case .busy: return .needsTurn
                case .over: return .changed(.send)
                case .wait(let direction):
                    guard let wake = park(direction) else { return nil }
                    if wake == .refused { return .failed(direction, .alreadyInProcess) }
                    if wake == .recheck { return .changed(direction) }
                    if direction == .receive { from.isDrained = false }
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
        let waitable = direction == .receive ? from : into
        return waitable.park(me, direction, of: task)
    }
}
