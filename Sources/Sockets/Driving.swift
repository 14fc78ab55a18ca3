internal import Loops
internal import SocketCore
internal import SystemPackage

// The two drivers
//
// A verb is an attempt: one try at its system call, which gives the verb's value or says what to wait for. What is here
// repeats the attempt, in a task or in a thread, and is the only code that waits for a descriptor. So here, and nowhere
// else, is a wait traced, a deadline kept, and a close or a cancellation noticed. (A race between several addresses waits for
// all of its sockets at once. It has two drivers of its own, in ConnectRace+Driving.swift. A client that is served message by
// message waits without a task or a thread: its driver is in Connection+Parking.swift.)

/// A socket with verbs: what the drivers need to know of it.
protocol DrivenSocket: AnyObject, Sendable {
    var waitable: Waitable { get }
    var trace: Trace? { get }
    /// The address that tells this socket from others: the peer's, or a listener's own.
    var who: SocketAddress { get }
    /// Which turn a verb in a direction takes; or why there is none.
    func turn(for direction: Direction) throws(SocketError) -> Direction
    /// Whether received bytes are held back, so that a receive need not wait.
    var holdsUnread: Bool { get }
    /// Whether this side has ended a direction, and verbs in it find it closed.
    func hasEnded(_ direction: Direction) -> Bool
    /// How many bytes of a cut message were sent; 0 unless a message is cut and the caller has not acknowledged that.
    var cutCount: Int { get }
    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
}

extension DrivenSocket {
    /// Asks the system something about the socket, or sets it.
    func ask<R>(_ question: (CInt) throws(Errno) -> R) throws(SocketError) -> R {
        do throws(Errno) {
            if let answer = try waitable.use(question) { return answer }
        } catch {
            throw self.error(.option, .system(error))
        }
        throw error(.option, .closed)
    }
}

extension DrivenSocket {
    var holdsUnread: Bool { false }
    var cutCount: Int { 0 }
    func hasEnded(_ direction: Direction) -> Bool { false }
    func turn(for direction: Direction) throws(SocketError) -> Direction { direction }
}

// MARK: - In a task

/// Suspends the running task until its waiter is resumed. As `Waiter.suspend`, but in this module, because only so it becomes
/// part of its caller: a frame of its own would be in the memory of each parked client.
@inline(__always)
func suspended(_ install: (Waiter) -> Void) async -> Wake {
    #if DEBUG
        await withCheckedContinuation { install(Waiter($0)) }
    #else
        await withUnsafeContinuation { install(Waiter($0)) }
    #endif
}

extension DrivenSocket {
    /// Performs a verb: takes its turn, and repeats the attempt until it gives a value, suspending the task meanwhile.
    /// `undo` is called with the turn still held when the verb fails.
    ///
    /// What stands here is in the frame of each waiting task, so whatever need not be is in a function of its own.
    @inline(__always)
    func perform<Value>(
        _ operation: SocketError.Operation, _ direction: Direction,
        undo: (SocketError) -> Void = { _ in }, outcome: (Value) -> Trace.Outcome,
        _ attempt: (CInt) throws(Errno) -> Attempt<Value>
    ) async throws(SocketError) -> Value {
        let turn = try turn(for: direction)
        if waitable.tryTakeTurn(turn) != .mine { try await queue(operation, direction, turn) }
        defer { waitable.giveTurn(turn) }
        if let refusal = refusal(operation, direction) {
            undo(refusal)
            throw refusal
        }
        var mustWait: Direction? = direction == .receive && waitable.isDrained && !holdsUnread ? .receive : nil
        var waited: UInt64 = 0
        while true {
            if let awaited = mustWait {
                if trace != nil, waited == 0 { waited = System.now }
                do throws(SocketError) {
                    try waitable.register()
                    let wake =
                        waitable.isServed(by: RunningTask.current)
                        ? await suspended { waitable.park($0, awaited) } : await waitable.wait(for: awaited)
                    if wake != .ready { try recheck(operation, awaited, waited, wake) }
                } catch {
                    undo(error)
                    throw error
                }
                if direction == .receive { waitable.isDrained = false }
            }
            let result: Attempt<Value>
            do throws(Errno) {
                result = try attempt(waitable.rawValue)
            } catch {
                let failure = failed(operation, error, waited)
                undo(failure)
                throw failure
            }
            switch result {
            case .wait(let next):
                mustWait = next
            case .done(let value):
                if trace != nil { tell(operation, waited, value, outcome) }
                if mustWait != nil {
                    waitable.tookWithWait()
                } else if waitable.tookWithoutWait() {
                    await Task.yield()
                }
                return value
            }
        }
    }

    /// Waits for the turn behind those who came first.
    @inline(never)
    func queue(
        _ operation: SocketError.Operation, _ direction: Direction, _ turn: Direction
    ) async throws(SocketError) {
        while true {
            if waitable.isClosed || waitable.isLoopClosed { throw error(operation, .closed) }
            if let refusal = refusal(operation, direction) { throw refusal }
            if try await waitable.waitForTurn(turn, for: direction) == .ready { return }
        }
    }

    /// Why a verb is not even tried. A task that always finds something to receive would otherwise never notice.
    @inline(__always)
    func refusal(_ operation: SocketError.Operation, _ direction: Direction) -> SocketError? {
        if let cut = cutError(operation, direction) { return cut }
        if RunningTask.current.isCancelled { return error(operation, .cancelled) }
        return timeOver(operation, direction)
    }

    /// That an earlier message was cut, so that nothing can be sent. It goes before a deadline and a cancellation, which
    /// often are what cut it.
    @inline(__always)
    func cutError(_ operation: SocketError.Operation, _ direction: Direction) -> SocketError? {
        guard direction == .send, cutCount > 0 else { return nil }
        return error(operation, .messageCut(sent: cutCount))
    }

    /// That a verb's time is over. Who ends a direction ends its time, and that is what it then fails with.
    @inline(__always)
    private func timeOver(_ operation: SocketError.Operation, _ direction: Direction) -> SocketError? {
        guard waitable.deadline(direction).isPast else { return nil }
        return error(operation, hasEnded(direction) ? .closed : .timedOut)
    }

    /// Why a wait ended though nothing was ready; returns when it is to be taken up again.
    @inline(never)
    func recheck(
        _ operation: SocketError.Operation, _ direction: Direction, _ waited: UInt64, _ wake: Wake = .recheck
    ) throws(SocketError) {
        let cause: SocketError.Cause
        if wake == .refused {
            cause = .twoWaits
        } else if waitable.isClosed || waitable.isLoopClosed || hasEnded(direction) {
            cause = .closed
        } else if let failure = waitable.failure {
            cause = .system(failure)
        } else if Task.isCancelled {
            cause = .cancelled
        } else if waitable.hasTimedOut(direction), !waitable.isReadyNow(direction) {
            cause = .timedOut
        } else {
            return
        }
        tell(operation, waited, cause) { .failed($0) }
        throw error(operation, cause)
    }

    @inline(never)
    func failed(_ operation: SocketError.Operation, _ errno: Errno, _ waited: UInt64) -> SocketError {
        // A close may have come between the wake and the system call; what it says then is no news.
        let cause: SocketError.Cause = waitable.isClosed ? .closed : .system(errno)
        tell(operation, waited, cause) { .failed($0) }
        return error(operation, cause)
    }

    /// Tells the trace how a verb ended, and if there was a wait (since `waited`), how long that was.
    @inline(never)
    func tell<Value>(
        _ operation: SocketError.Operation, _ waited: UInt64, _ value: Value, _ outcome: (Value) -> Trace.Outcome
    ) {
        if trace != nil { tell(operation, waited, outcome(value)) }
    }

    func tell(_ operation: SocketError.Operation, _ waited: UInt64, _ outcome: Trace.Outcome) {
        guard let trace else { return }
        if waited == 0 {
            trace.tell(.did(operation, outcome), of: waitable.rawValue, who)
        } else {
            let duration = Duration.nanoseconds(Int64(clamping: System.now &- waited))
            trace.tell(.waited(operation, duration, until: outcome), of: waitable.rawValue, who)
        }
    }
}

// MARK: - In a thread

extension DrivenSocket {
    /// Performs a verb as the other `perform` does, blocking the thread meanwhile.
    @inline(__always)
    func performBlocking<Value>(
        _ operation: SocketError.Operation, _ direction: Direction,
        undo: (SocketError) -> Void = { _ in }, outcome: (Value) -> Trace.Outcome,
        _ attempt: (CInt) throws(Errno) -> Attempt<Value>
    ) throws(SocketError) -> Value {
        try refuseOnLoop(operation)
        let turn = try turn(for: direction)
        if waitable.tryTakeTurn(turn) != .mine { try queueBlocking(operation, direction, turn) }
        defer { waitable.giveTurn(turn) }
        do throws(SocketError) {
            if let cut = cutError(operation, direction) { throw cut }
            if let over = timeOver(operation, direction) { throw over }
            var waited: UInt64 = 0
            while true {
                let result: Attempt<Value>
                do throws(Errno) {
                    result = try attempt(waitable.rawValue)
                } catch {
                    throw failed(operation, error, waited)
                }
                switch result {
                case .wait(let next):
                    if trace != nil, waited == 0 { waited = System.now }
                    try waitBlocking(operation, next, waited)
                    if direction == .receive { waitable.isDrained = false }
                case .done(let value):
                    if trace != nil { tell(operation, waited, value, outcome) }
                    return value
                }
            }
        } catch {
            undo(error)
            throw error
        }
    }

    private func waitBlocking(
        _ operation: SocketError.Operation, _ direction: Direction, _ waited: UInt64
    ) throws(SocketError) {
        let wake: Wake
        do throws(Errno) {
            wake = try waitable.waitBlocking(for: direction)
        } catch {
            throw failed(operation, error, waited)
        }
        if wake != .ready { try recheck(operation, direction, waited, wake) }
    }

    private func queueBlocking(
        _ operation: SocketError.Operation, _ direction: Direction, _ turn: Direction
    ) throws(SocketError) {
        while true {
            if waitable.isClosed { throw error(operation, .closed) }
            if let over = timeOver(operation, direction) { throw over }
            do throws(Errno) {
                if try waitable.waitForTurnBlocking(turn, for: direction) == .ready { return }
            } catch {
                throw failed(operation, error, 0)
            }
        }
    }

    func refuseOnLoop(_ operation: SocketError.Operation) throws(SocketError) {
        if let misuse = misuseOnLoop() { throw error(operation, misuse) }
    }
}

/// Why this thread may not block, if it may not: a blocked loop would stop every client of it. An error at once, instead of
/// a server that hangs now and then.
func misuseOnLoop() -> SocketError.Cause? {
    guard EventLoop.current != nil else { return nil }
    return .misuse("a blocking call on an event loop's thread would stop all of its clients; use the form with await")
}
