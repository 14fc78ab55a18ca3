internal import Loops
internal import SocketCore
internal import Sockets

/// `connect` with datagrams: what is read at once is sent as one, and what comes is written as it comes.
///
/// Datagrams have no end that a peer could tell, so the end is silence: `linger` of it, once the input has ended.
final class DatagramExchange: Sendable {
    let account: Account
    private let client: Client
    private let socket: DatagramSocket
    private let failure = Lock<Failure?>(nil)
    private let hasInputEnded = Lock(false)

    init(_ client: Client) throws(Failure) {
        self.client = client
        let start = Deadline.now
        do throws(SocketError) {
            socket = try DatagramSocket(
                to: client.endpoint, from: client.source, family: client.family, timeout: client.timeout,
                trace: client.report.trace)
        } catch {
            throw Failure(error)
        }
        account = Account(socket.remoteAddress.map { "\($0)" } ?? "", client.report)
        account.connected(from: try? socket.localAddress, since: start)
    }

    func run(_ input: StandardInput) throws(Failure) {
        switch client.duplex {
        case .half: try converse(input)
        case .receive: try receiveAll(isShown: true)
        case .full, .send: try bothWays(input)
        }
        socket.close()
        account.closed()
    }

    /// Where no input is read, a signal is what the end of it would be; from another thread.
    func inputStopped() {
        guard client.duplex == .receive else { return }
        hasInputEnded.withLock { $0 = true }
        socket.receiveDeadline = .after(client.linger)
    }

    // MARK: Both ways

    private func bothWays(_ input: StandardInput) throws(Failure) {
        let isStarted = Threads.start("input") { [self] in
            do throws(Failure) {
                while let bytes = try input.read(upTo: DatagramSocket.largestUDP) { try send(bytes) }
            } catch {
                failure.withLock { $0 = error }
            }
            hasInputEnded.withLock { $0 = true }
            // Whoever waits for a datagram now waits no longer than this; one that failed is not waited for at all.
            socket.receiveDeadline = failure.withLock { $0 != nil } ? .now : .after(client.linger)
        }
        if !isStarted { throw Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
        try receiveAll(isShown: client.duplex == .full)
    }

    /// Receives until it has been silent for long enough after the end of input.
    private func receiveAll(isShown: Bool) throws(Failure) {
        let show = client.show ?? (Standard.isTerminal(1) ? .text : nil)
        let display = Display(show ?? .text, keepsLines: client.show == nil)
        while let bytes = try receive() {
            guard isShown else { continue }
            guard show != nil else {
                try client.write(bytes)
                continue
            }
            if show == Show.none { continue }
            try client.write(Array((display.text(forWhole: bytes) + (client.show == nil ? "" : "\n")).utf8))
        }
    }

    // MARK: The dialogue

    /// A line and its answer in turn. An empty line is an empty datagram, which may be answered like any other; and an
    /// answer may never come.
    private func converse(_ input: StandardInput) throws(Failure) {
        let display = Display(client.show ?? .text)
        while true {
            client.catchUp()
            try client.write(Array(Dialogue.prompt.utf8))
            guard let line = try input.line() else { break }
            try send(line)
            socket.receiveDeadline = .after(client.linger)
            if let answer = try receive() {
                try client.write(
                    Array((Language.current.reply + display.text(forWhole: answer) + "\n").utf8))
            } else {
                client.note(
                    text(
                        "no answer within \(client.linger.inSeconds) s: datagrams may be lost, and nobody says so",
                        "\(client.linger.inSeconds) 秒内没有回应：数据报可能丢失，而且没有人会告知"))
            }
        }
        if Standard.isTerminal(1) { try client.write([UInt8(ascii: "\n")]) }
        hasInputEnded.withLock { $0 = true }
        socket.receiveDeadline = .after(client.linger)
        while let late = try receive() {
            try client.write(Array((Language.current.reply + display.text(forWhole: late) + "\n").utf8))
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
        if hasInputEnded.withLock({ $0 }) { socket.receiveDeadline = .after(client.linger) }
        // A peer that never stops must not hide it.
        if let failure = failure.withLock({ $0 }) { throw failure }
        return datagram.bytes
    }
}
