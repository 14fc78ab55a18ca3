internal import Loops
internal import SocketCore
internal import Sockets

/// Standard input and output joined to a peer by datagrams: what is read at once is sent as one, and what comes is written
/// as it comes.
///
/// Datagrams have no end that a peer could tell, so the end is silence: `linger` of it, once the input has ended, or the idle
/// time before.
final class DatagramJoin: Join {
    let account: Account
    private let peer: DatagramPeer
    private let input: StandardInput
    private let rules: JoinRules
    private let activity = Activity()
    private let sending = Lock((failure: Failure?.none, inputEnded: false, stopped: false))
    private let sendingStopped = Bell()

    init(_ peer: DatagramPeer, _ account: Account, _ input: StandardInput, _ rules: JoinRules) {
        self.peer = peer
        self.account = account
        self.input = input
        self.rules = rules
    }

    func run() throws(Failure) {
        input.resume()
        defer { peer.close() }
        defer { if peer.droppedCount > 0 { rules.report.droppedOfOthers(peer.droppedCount, account.name) } }
        // After the input's end the peer has only the silence.
        if input.hasEnded { inputHasEnded() } else { allowSilence(idleDeadline) }
        switch rules.duplex {
        case .half: try converse()
        case .receive: try receiveAll(isShown: true)
        case .full, .send: try bothWays()
        }
    }

    // MARK: A signal

    /// A datagram is gone when it is sent: there is nothing to wait for, and nothing to reset.
    var isDelivered: Bool { input.isAtRest }
    func tellDelivery(until deadline: Deadline) {}
    func leave() -> Bool { true }
    func cut() -> Bool { true }

    private func inputHasEnded() {
        sending.withLock { $0.inputEnded = true }
        allowSilence(.never)
    }

    /// From now on the peer may be silent until then, or when the input has ended for the linger; when sending has failed it
    /// is not waited for at all. With the lock held, so that no thread sets what another one's news has made wrong.
    private func allowSilence(_ deadline: Deadline) {
        sending.withLock { sending in
            peer.socket.receiveDeadline =
                sending.failure != nil ? .now : sending.inputEnded ? .after(rules.silence) : deadline
        }
    }

    private var idleDeadline: Deadline { rules.idleTimeout.map { .after($0) } ?? .never }

    // MARK: Both ways

    private func bothWays() throws(Failure) {
        let isStarted = Threads.start("input") { [self] in
            do throws(Failure) {
                while let bytes = try input.read(upTo: DatagramSocket.largestUDP) { try send(bytes) }
            } catch {
                sending.withLock { $0.failure = error }
            }
            inputHasEnded()
            sending.withLock { $0.stopped = true }
            sendingStopped.ring()
        }
        guard isStarted else { throw Failure.noThread }
        // The input is the next peer's then.
        defer {
            input.interrupt()
            while rules.keepsInput, sending.withLock({ !$0.stopped }) {
                sendingStopped.waitBlockingAnyway(until: .never)
            }
        }
        try receiveAll(isShown: rules.duplex == .full)
    }

    /// Receives until it has been silent for long enough.
    private func receiveAll(isShown: Bool) throws(Failure) {
        let show = rules.shown
        let display = Display(show ?? .text, keepsLines: rules.show == nil)
        while let bytes = try receive() {
            guard isShown else { continue }
            guard show != nil else {
                try rules.write(bytes)
                continue
            }
            if show == Show.none { continue }
            try rules.write(display.text(forWhole: bytes) + (rules.show == nil ? "" : "\n"))
        }
    }

    // MARK: The dialogue

    /// A line and its answer in turn. An empty line is an empty datagram, which may be answered like any other; and an
    /// answer may never come.
    private func converse() throws(Failure) {
        let display = Display(rules.show ?? .text)
        while true {
            if rules.answers {
                guard !input.isOver, let message = try receive() else { break }
                try rules.write(rules.mark + display.text(forWhole: message) + "\n")
            }
            rules.catchUp()
            try rules.write(Dialogue.prompt)
            guard let line = try input.line() else { break }
            try send(line, asRead: line + [UInt8(ascii: "\n")])
            if rules.answers { continue }
            allowSilence(.after(rules.silence))
            if let answer = try receive() {
                try rules.write(rules.mark + display.text(forWhole: answer) + "\n")
            } else {
                rules.note(
                    text(
                        "no answer within \(rules.silence.inSeconds) s: datagrams may be lost, and nobody says so",
                        "\(rules.silence.inSeconds) 秒内没有回应：数据报可能丢失，而且没有人会告知"))
            }
        }
        if Standard.isTerminal(1) { try rules.write("\n") }
        inputHasEnded()
        while let late = try receive() { try rules.write(rules.mark + display.text(forWhole: late) + "\n") }
    }

    // MARK: One datagram

    /// Sends what was read, which stood in the input as `asRead`; what cannot be sent is kept where another peer comes.
    private func send(_ bytes: [UInt8], asRead: [UInt8]? = nil) throws(Failure) {
        defer { input.passedOn() }
        do throws(SocketError) {
            try peer.send(bytes)
            account.note(sent: bytes.count)
            activity.note()
        } catch {
            if rules.keepsInput { input.putBack(asRead ?? bytes) }
            throw Failure(error)
        }
    }

    /// The next datagram; nil when the time for it is over.
    private func receive() throws(Failure) -> [UInt8]? {
        let bytes = try receiveInTime()
        // A peer that never stops must not hide it.
        if let failure = sending.withLock({ $0.failure }) { throw failure }
        guard let bytes else { return nil }
        account.note(received: bytes)
        activity.note()
        if rules.answers || sending.withLock({ $0.inputEnded }) { allowSilence(idleDeadline) }
        return bytes
    }

    private func receiveInTime() throws(Failure) -> [UInt8]? {
        while true {
            do throws(SocketError) {
                return try peer.receive()
            } catch {
                if let failure = sending.withLock({ $0.failure }) { throw failure }
                guard error.cause == .timedOut else { throw Failure(error) }
                // What was sent meanwhile is no silence either.
                guard let idle = rules.idleTimeout, !sending.withLock({ $0.inputEnded }),
                    let left = activity.left(of: idle, unacknowledged: 0)
                else { return nil }
                allowSilence(.after(left))
            }
        }
    }
}
