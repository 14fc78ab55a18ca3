internal import Loops
internal import SocketCore
internal import SystemPackage

// "Happy Eyeballs" (RFC 8305)
//
// An endpoint can have several addresses, and one of them can be dead: packets to it vanish, and the kernel would go on for
// two minutes. So the attempts overlap. The next begins 250 ms after the one before it, or at once when that fails; all
// that have begun race; the first that is connected wins, and the others are closed at once.
//
// What is here decides and never waits. Waiting is in ConnectRace+Driving.swift, once for tasks and once for threads, and
// neither needs a task or a thread for an attempt: connect(2) goes on by itself.

/// Several addresses of one endpoint, raced against each other.
struct ConnectRace {
    /// The Connection Attempt Delay that RFC 8305 recommends.
    static let attemptDelay = Duration.milliseconds(250)

    /// What to do next.
    enum Step {
        /// Wait for the sockets under way, until a moment.
        case wait(until: Deadline)
        case won(ConnectingSocket)
    }

    private var left: ArraySlice<SocketAddress>
    private var underWay: [Contender] = []
    /// When the next address's turn comes, if nothing fails before.
    private var nextStart = Deadline.now
    private var error: SocketError?
    /// Which attempt `error` is of.
    private var errorNumber = 0
    private let count: Int
    private let start = System.now
    private let source: SocketAddress?
    private let deadline: Deadline
    private let trace: Trace?

    init(_ addresses: AddressList, from source: SocketAddress?, deadline: Deadline, trace: Trace?) {
        left = ([addresses.first] + addresses.others)[...]
        count = left.count
        self.source = source
        self.deadline = deadline
        self.trace = trace
    }

    /// The sockets to wait for.
    var sockets: [Waitable] { underWay.map(\.socket.waitable) }

    /// Looks at the attempts under way, begins those that are due, and says what to do next. Throws when all have failed or
    /// the time is over; then nothing is under way any more.
    mutating func step() throws(SocketError) -> Step {
        while true {
            if underWay.contains(where: { $0.socket.waitable.isLoopClosed }) { throw end(.closed) }
            if let winner = look() { return .won(winner) }
            if deadline.isPast { throw end(.timedOut) }
            if !left.isEmpty, underWay.isEmpty || nextStart.isPast {
                begin()
            } else if !underWay.isEmpty {
                return .wait(until: left.isEmpty ? deadline : min(nextStart, deadline))
            } else {
                // There is always one: nothing is left and nothing under way, so every attempt has failed.
                throw error ?? SocketError(.connect, .system(.addressNotAvailable))
            }
        }
    }

    /// Ends all that is under way, and says why in the name of the attempt that began first.
    mutating func end(_ cause: SocketError.Cause) -> SocketError {
        let remote = underWay.first?.socket.remote ?? left.first ?? error?.remote
        closeAll(.failed(cause))
        left = []
        return SocketError(.connect, cause, remote: remote)
    }

    private mutating func closeAll(_ outcome: Trace.Outcome) {
        for contender in underWay { contender.close(outcome) }
        underWay = []
    }

    private mutating func begin() {
        guard let address = left.popFirst() else { return }
        let number = count - left.count
        let delay = Duration.nanoseconds(Int64(clamping: System.now &- start))
        trace?.tell(.attempt(number, of: count, after: delay), of: -1, address)
        nextStart = .after(Self.attemptDelay)
        do throws(SocketError) {
            underWay.append(
                try Contender(number, ConnectAttempts(at: address, from: source, trace: trace)))
        } catch {
            trace?.tell(.did(.connect, .failed(error.cause)), of: -1, address)
            failed(number, error)
        }
    }

    /// The first that is connected; the others are closed then.
    private mutating func look() -> ConnectingSocket? {
        var waiting: [Contender] = []
        for (index, var contender) in underWay.enumerated() {
            do throws(SocketError) {
                if try contender.isConnected() {
                    underWay = waiting + underWay[(index + 1)...]
                    closeAll(.lostRace)
                    contender.socket.tell(.connect, contender.waited, .connected)
                    return contender.socket
                }
                waiting.append(contender)
            } catch {
                contender.close(.failed(error.cause))
                failed(contender.number, error)
            }
        }
        underWay = waiting
        return nil
    }

    /// Notes a failure. After that of the latest attempt nothing is gained by waiting before the next.
    private mutating func failed(_ number: Int, _ error: SocketError) {
        if number == count - left.count { nextStart = .now }
        // Of equals the first address's, whichever came first: it is about the one that was to be preferred.
        if let told = self.error, (told.howFar, number) > (error.howFar, errorNumber) { return }
        (self.error, errorNumber) = (error, number)
    }
}

/// An attempt that has begun.
private struct Contender {
    let number: Int
    private(set) var socket: ConnectingSocket
    private var attempts: ConnectAttempts
    /// Since when it has waited; 0 if it has not.
    private(set) var waited: UInt64 = 0

    init(_ number: Int, _ attempts: ConnectAttempts) throws(SocketError) {
        self.number = number
        self.attempts = attempts
        socket = try attempts.begin()
    }

    /// Begins to connect, or asks what came of it.
    mutating func isConnected() throws(SocketError) -> Bool {
        while true {
            do throws(Errno) {
                if let failure = socket.waitable.failure { throw failure }
                guard case .done = try socket.attemptConnect(socket.waitable.rawValue) else {
                    if waited == 0 { waited = System.now }
                    return false
                }
            } catch {
                throw socket.error(.connect, .system(error))
            }
            if try attempts.hasPeer(socket) { return true }
            socket = try attempts.begin()
        }
    }

    func close(_ outcome: Trace.Outcome) {
        socket.tell(.connect, waited, outcome)
        socket.waitable.close()
    }
}

extension SocketError {
    /// How far an attempt got. When all have failed, the error of the one that got furthest is told, for it says most about
    /// the peer: its machine answered; somebody on the way did; nobody did; nothing left this machine.
    fileprivate var howFar: Int {
        switch cause {
        case .system(.connectionRefused), .system(.connectionReset): 3
        case .system(.noRouteToHost), .system(.permissionDenied), .system(.hostIsDown): 2
        case .system(.timedOut): 1
        default: 0
        }
    }
}
