internal import DequeModule
internal import Loops
internal import SocketCore

// Clients without tasks
//
// A client that waits is parked: its connection stands in the word of its own socket, and nothing else is kept of it. What
// ends its wait puts it at the end of a list, and a worker, which is a task, takes the clients from the front, one after
// another: receives a message, runs the body, and parks the client again.
//
// One worker is enough as long as no body waits. One that waits holds its worker, and another must go on with the list. A
// task cannot tell beforehand whether a call will suspend it. So whoever takes a client and leaves others behind calls
// another worker: it comes when this one waits, or else when the list is empty, and then it rests again. A wake for a list of
// many, then, instead of one for each.
//
// Every client in the list has its receive turn taken, but for one that is new. It leaves the list once for each time that
// it was put there, so its body never runs twice at a time.

/// The clients that a server has on one loop, and the workers that run the body for those that have something to say.
final class Crew: Sendable {
    /// A client in the list, and why it is there.
    struct Ready {
        enum Reason {
            /// It has been accepted just now.
            case isNew
            /// It was parked, and its wait has ended.
            case wasWoken(Wake)
            /// It had its message, and may have more to say.
            case mayHaveMore
        }

        let client: Connection
        let reason: Reason
    }

    private struct State {
        var ready = Deque<Ready>()
        /// The longest that the list has been since it was last empty.
        var most = 0
        /// Workers that rest, the last to come on top.
        var resting: [Waiter] = []
        /// Workers that have been called, and have not looked at the list since.
        var coming = 0
        /// How many of those are still to be hired.
        var wanted = 0
        /// The task that hires, where it waits.
        var hiring: Waiter?
        var clients = 0
        /// Whether no other client will come.
        var isFull = false
        /// Since when the clients of which a trace is told have been parked.
        var waitStarts: [ObjectIdentifier: UInt64] = [:]

        var isOver: Bool { isFull && clients == 0 }
    }

    let loop: EventLoop
    private let state = Lock(State())
    /// More than these end when there is nothing to do: it takes less to hire another than to keep one for ever.
    private static let mostResting = 32
    /// A list that was longer gives its memory back.
    private static let mostKept = 1024

    init(_ loop: EventLoop) {
        self.loop = loop
        _ = Self.canWake
    }

    /// This crew as the number that its parked clients know it by.
    var word: UInt { UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }

    /// Once for the process: parked connections are woken from the layer below, which does not know what they are.
    private static let canWake: Void = {
        Parking.wake = { pointer, wake in
            let client = Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue()
            guard let crew = UnsafeRawPointer(bitPattern: client.waitable.parkedBy) else { return }
            // Safety: a crew outlives its clients, since serving ends with the last of them.
            Unmanaged<Crew>.fromOpaque(crew).takeUnretainedValue()
                .add(Ready(client: client, reason: .wasWoken(Wake(told: wake))))
        }
    }()

    // MARK: - The list

    /// Takes in a client that has been accepted.
    func enter(_ client: Connection) {
        state.withLock { $0.clients += 1 }
        add(Ready(client: client, reason: .isNew))
    }

    /// Counts a client out that has ended.
    func leave() {
        let ended = state.withLock { state in
            state.clients -= 1
            return Self.takeAllIfOver(&state)
        }
        for waiter in ended { waiter.resume(.recheck) }
    }

    /// No other client will come: when those that are here have ended, the workers do.
    func close() {
        let ended = state.withLock { state in
            state.isFull = true
            return Self.takeAllIfOver(&state)
        }
        for waiter in ended { waiter.resume(.recheck) }
    }

    private static func takeAllIfOver(_ state: inout State) -> [Waiter] {
        guard state.isOver else { return [] }
        defer {
            state.resting = []
            state.hiring = nil
        }
        return state.hiring.map { state.resting + [$0] } ?? state.resting
    }

    private func add(_ ready: Ready) {
        let called = state.withLock { state in
            state.ready.append(ready)
            state.most = max(state.most, state.ready.count)
            return Self.call(&state)
        }
        if let called { loop.resumeInTurn(called) }
    }

    /// Puts a client behind the others, if there are any.
    func addBehindOthers(_ client: Connection) -> Bool {
        // Who asks looks at the list next, so nobody need be called.
        state.withLock { state in
            if state.ready.isEmpty { return false }
            state.ready.append(Ready(client: client, reason: .mayHaveMore))
            return true
        }
    }

    /// Whom to resume so that a worker comes for what is in the list; nobody, if one is on its way.
    private static func call(_ state: inout State) -> Waiter? {
        guard state.coming == 0, !state.ready.isEmpty else { return nil }
        state.coming += 1
        if let worker = state.resting.popLast() { return worker }
        state.wanted += 1
        defer { state.hiring = nil }
        return state.hiring
    }

    // MARK: - For the workers

    /// The first client in the list, for a worker that was called or goes on; sees to it that somebody comes for the others,
    /// should this one's body wait.
    func takeNext(wasCalled: Bool) -> Ready? {
        let (ready, called) = state.withLock { state -> (Ready?, Waiter?) in
            if wasCalled { state.coming -= 1 }
            guard let ready = state.ready.popFirst() else {
                if state.most > Self.mostKept { state.ready = [] }
                state.most = 0
                return (nil, nil)
            }
            return (ready, Self.call(&state))
        }
        if let called { loop.resumeInTurn(called) }
        return ready
    }

    /// Rests until called; false when this worker is needed no longer.
    @inline(__always)
    func rest() async -> Bool {
        await Waiter.suspend { waiter in
            let wake = state.withLock { state -> Wake? in
                if !state.ready.isEmpty {
                    state.coming += 1
                    return .ready
                }
                if state.isOver || state.resting.count >= Self.mostResting { return .recheck }
                state.resting.append(waiter)
                return nil
            }
            if let wake { waiter.resume(wake) }
        } == .ready
    }

    /// Lets the loop look at its sockets, and others run.
    func letOthersRun() async {
        // It comes back to the list by itself, so nobody need be called for what is put there meanwhile.
        state.withLock { $0.coming += 1 }
        if loop.isCurrent { loop.lookNext() }
        await Task.yield()
        state.withLock { $0.coming -= 1 }
    }

    /// How many workers are to be hired; 0 when there is no more to do.
    func orders() async -> Int {
        while true {
            let count = state.withLock { state -> Int? in
                defer { state.wanted = 0 }
                if state.isOver { return 0 }
                return state.wanted > 0 ? state.wanted : nil
            }
            if let count { return count }
            // Cancelled, it goes on: the clients that are to end need workers for that.
            _ = await Waiter.suspend { waiter in
                let mustLook = state.withLock { state in
                    if state.isOver || state.wanted > 0 { return true }
                    state.hiring = waiter
                    return false
                }
                if mustLook { waiter.resume(.recheck) }
            }
        }
    }

    // MARK: - For the trace

    func keepWaitStart(of client: Connection, _ moment: UInt64) {
        state.withLock { $0.waitStarts[ObjectIdentifier(client)] = moment }
    }

    /// Since when a client has been waiting, or 0.
    func takeWaitStart(of client: Connection) -> UInt64 {
        state.withLock { $0.waitStarts.removeValue(forKey: ObjectIdentifier(client)) } ?? 0
    }
}
