internal import Loops
internal import SocketCore
internal import Sockets

/// Standard input and output joined to a peer by datagrams: what is read at once is sent as one, and what comes is written
/// as it comes.
///
/// Datagrams have no end that a peer could tell, so the end is silence: `linger` of it, once the input has ended.
final class DatagramJoin: Join {
    let account: Account
    private let socket: DatagramSocket
    private let input: StandardInput
    private let rules: JoinRules
    private let failure = Lock<Failure?>(nil)
    private let hasInputEnded = Lock(false)

    init(_ socket: DatagramSocket, _ account: Account, _ input: StandardInput, _ rules: JoinRules) {
        self.socket = socket
        self.account = account
        self.input = input
        self.rules = rules
    }

    func run() throws(Failure) {
        switch rules.duplex {
        case .half: try converse()
        case .receive: try receiveAll(isShown: true)
        case .full, .send: try bothWays()
        }
        socket.close()
    }

    /// Where no input is read, a signal is what the end of it would be.
    func inputStopped() {
        guard rules.duplex == .receive else { return }
        inputHasEnded()
    }

    private func inputHasEnded() {
        hasInputEnded.withLock { $0 = true }
        socket.receiveDeadline = .after(rules.linger)
    }

    // MARK: Both ways

    private func bothWays() throws(Failure) {
        let isStarted = Threads.start("input") { [self] in
            do throws(Failure) {
                while let bytes = try input.read(upTo: DatagramSocket.largestUDP) { try send(bytes) }
            } catch {
                failure.withLock { $0 = error }
            }
            hasInputEnded.withLock { $0 = true }
            // Whoever waits for a datagram now waits no longer than this; one that failed is not waited for at all.
            socket.receiveDeadline = failure.withLock { $0 != nil } ? .now : .after(rules.linger)
        }
        if !isStarted { throw Failure.noThread }
        try receiveAll(isShown: rules.duplex == .full)
    }

    /// Receives until it has been silent for long enough after the end of input.
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
            rules.catchUp()
            try rules.write(Dialogue.prompt)
            guard let line = try input.line() else { break }
            try send(line)
            socket.receiveDeadline = .after(rules.linger)
            if let answer = try receive() {
                try rules.write(Language.current.reply + display.text(forWhole: answer) + "\n")
            } else {
                rules.note(
                    text(
                        "no answer within \(rules.linger.inSeconds) s: datagrams may be lost, and nobody says so",
                        "\(rules.linger.inSeconds) 秒内没有回应：数据报可能丢失，而且没有人会告知"))
            }
        }
        if Standard.isTerminal(1) { try rules.write("\n") }
        inputHasEnded()
        while let late = try receive() {
            try rules.write(Language.current.reply + display.text(forWhole: late) + "\n")
        }
    }

    // MARK: One datagram

    private func send(_ bytes: [UInt8]) throws(Failure) {
        do throws(SocketError) {
            try socket.send(bytes)
            account.note(sent: bytes.count)
        } catch {
            throw Failure(error)
        }
    }

    /// The next datagram; nil when the time for it is over.
    private func receive() throws(Failure) -> [UInt8]? {
        let datagram: Datagram
        do throws(SocketError) {
            datagram = try socket.receive()
        } catch {
            if let failure = failure.withLock({ $0 }) { throw failure }
            guard error.cause == .timedOut else { throw Failure(error) }
            return nil
        }
        account.note(received: datagram.bytes)
        if hasInputEnded.withLock({ $0 }) { socket.receiveDeadline = .after(rules.linger) }
        // A peer that never stops must not hide it.
        if let failure = failure.withLock({ $0 }) { throw failure }
        return datagram.bytes
    }
}
