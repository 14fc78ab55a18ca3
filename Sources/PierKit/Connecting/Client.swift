internal import Sockets
internal import Loops
internal import SocketCore

/// `connect` under way: two threads, one for each direction, in the library's blocking face.
final class Client: Sendable {
    let endpoint: Endpoint
    let source: SocketAddress?
    let family: AddressFamily?
    let duplex: Duplex
    let show: Show?
    let timeout: Duration?
    let keepAlive: Duration?
    let grace: Duration?
    let linger: Duration
    let report: Report
    private let events = Events()

    init(
        endpoint: Endpoint, source: SocketAddress?, family: AddressFamily?, duplex: Duplex, show: Show?,
        timeout: Duration?, keepAlive: Duration?, linger: Duration, grace: Duration?, report: Report
    ) {
        self.endpoint = endpoint
        self.source = source
        self.family = family
        self.duplex = duplex
        self.show = show
        self.timeout = timeout
        self.keepAlive = keepAlive
        self.linger = linger
        self.grace = grace
        self.report = report
    }

    func run() throws {
        Signals.watch { [events] in events.post(.signal($0)) }
        try report.concluding { try work() }
    }

    private func work() throws {
        let input = try StandardInput(trace: report.trace)
        let work = Lock<Result<Void, Failure>?>(nil)
        let account = Lock<Account?>(nil)
        let datagrams = Lock<DatagramExchange?>(nil)
        // Also when a signal ends it before its end.
        defer { account.withLock { $0 }?.closed() }
        let isStarted = Threads.start("connect") { [self] in
            do throws(Failure) {
                if endpoint.transport.carriesDatagrams {
                    let exchange = try DatagramExchange(self)
                    datagrams.withLock { $0 = exchange }
                    account.withLock { $0 = exchange.account }
                    try exchange.run(input)
                } else {
                    let made = try connect()
                    account.withLock { $0 = made.account }
                    try converse(made, input)
                }
                work.withLock { $0 = .success(()) }
            } catch {
                work.withLock { $0 = .failure(error) }
            }
            events.post(.ended(nil))
        }
        guard isStarted else { throw Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
        try wait(isConnected: { account.withLock { $0 != nil } }) {
            input.stop()
            datagrams.withLock { $0 }?.inputStopped()
        }
        try work.withLock { $0 }?.get()
    }

    /// Waits for the end of the work. The first signal ends the input, and what the peer still sends is received, for a
    /// time; before there is a connection there is nothing to wait for.
    private func wait(isConnected: () -> Bool, endInput: () -> Void) throws {
        var deadline = Deadline.never
        var signal: Int32 = 0
        while true {
            switch events.next(until: deadline) {
            case .signal(let number) where signal == 0 && isConnected():
                signal = number
                endInput()
                if let grace { deadline = .after(grace) }
            case .signal(let number): throw ExitStatus.signal(number)
            case nil: throw ExitStatus.signal(signal)
            case .ended, .outputFailed, .flushFailed: return
            }
        }
    }

    private func connect() throws(Failure) -> Conversation {
        do throws(SocketError) {
            let start = Deadline.now
            // One way or half, the wire is full-duplex; the dialogue's rule is the library's.
            let connection = try Connection(
                to: endpoint, from: source, family: family, timeout: timeout, duplex: duplex == .half ? .half : .full,
                trace: report.trace)
            try connection.setKeepAlive(after: keepAlive)
            let conversation = Conversation(connection, report)
            conversation.connected(since: start)
            return conversation
        } catch {
            throw Failure(error)
        }
    }

    private func converse(_ connection: Conversation, _ input: StandardInput) throws(Failure) {
        switch duplex {
        case .half: try Dialogue(connection, input, show ?? .text, self).run()
        case .send: try sendOnly(connection, input)
        case .receive: try receiveAll(connection)
        case .full: try bothWays(connection, input)
        }
        connection.close()
        connection.account.closed()
    }

    private func bothWays(_ connection: Conversation, _ input: StandardInput) throws(Failure) {
        let progress = Lock<(hasEnded: Bool, failure: Failure?)>((false, nil))
        let isStarted = Threads.start("input") { [self] in
            do throws(InputEnd) {
                // Told before the peer can know it: he may answer with his own end at once.
                try sendAll(connection, input) { progress.withLock { $0.hasEnded = true } }
            } catch {
                // The network's end is the receiving thread's to tell. The input's own ends the command.
                guard case .inputFailed(let failure) = error else { return }
                progress.withLock { $0.failure = failure }
                connection.close()
            }
        }
        if !isStarted { throw Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
        do throws(Failure) {
            try receiveAll(connection)
        } catch {
            throw progress.withLock { $0.failure } ?? error
        }
        if !progress.withLock({ $0.hasEnded }), !Standard.isTerminal(0) {
            note(
                text(
                    "the peer finished before the input did: \(connection.account.sent) bytes were sent, and the rest was not",
                    "对方在输入结束之前就结束了：已发送 \(connection.account.sent) 字节，其余没有发送"))
        }
    }

    // MARK: The two directions

    /// Why sending ended before the input did.
    private enum InputEnd: Error {
        case inputFailed(Failure)
        case networkFailed(Failure)
    }

    /// From standard input to the peer, until the input ends; then the direction is finished.
    private func sendAll(
        _ connection: Conversation, _ input: StandardInput, atInputEnd tell: () -> Void = {}
    ) throws(InputEnd) {
        while true {
            let bytes: [UInt8]?
            do throws(Failure) { bytes = try input.read(upTo: 65536) } catch { throw .inputFailed(error) }
            guard let bytes else { break }
            do throws(Failure) { try send(bytes, connection) } catch { throw .networkFailed(error) }
        }
        tell()
        do throws(SocketError) { try connection.finishSending() } catch {
            throw .networkFailed(failure(error, connection))
        }
    }

    /// Sends, and closes only when all of it is acknowledged or the peer is gone. What the peer says meanwhile is dropped:
    /// left unread it would stop a peer that answers, and turn the close into a reset, which destroys what was sent.
    private func sendOnly(_ connection: Conversation, _ input: StandardInput) throws(Failure) {
        let isGone = Lock(false)
        let hasEnded = Bell()
        let isStarted = Threads.start("drop") {
            while (try? connection.receive(upTo: 65536)) != nil {}
            isGone.withLock { $0 = true }
            hasEnded.ring()
        }
        if !isStarted { throw Failure(.failed, text("the system has no thread left", "系统没有可用的线程了")) }
        defer {
            // What it has dropped is counted before the end is told.
            connection.close()
            hasEnded.waitBlockingAnyway(until: .never)
        }
        do throws(InputEnd) {
            try sendAll(connection, input)
        } catch {
            switch error {
            case .inputFailed(let failure), .networkFailed(let failure): throw failure
            }
        }
        // The kernel tells nobody when the last byte is acknowledged, so it is asked again and again, ever more rarely.
        var pause = Duration.milliseconds(1)
        while !isGone.withLock({ $0 }), let left = try? connection.connection.unacknowledged, left > 0 {
            Bell.pauseThread(for: pause)
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// From the peer to standard output, until the peer finishes.
    private func receiveAll(_ connection: Conversation) throws(Failure) {
        let shown = show ?? (Standard.isTerminal(1) ? .text : nil)
        var display = Display(shown ?? .text, keepsLines: show == nil)
        while let bytes = try receive(connection) {
            guard shown != nil else {
                try write(bytes)
                continue
            }
            guard let text = display.text(for: bytes) else { continue }
            try write(Array((show == nil ? text : text + "\n").utf8))
        }
        if let rest = display.rest() { try write(Array(rest.utf8)) }
    }

    func receive(_ connection: Conversation) throws(Failure) -> [UInt8]? {
        do throws(SocketError) {
            return try connection.receive(upTo: 65536)
        } catch {
            throw failure(error, connection)
        }
    }

    func send(_ bytes: [UInt8], _ connection: Conversation) throws(Failure) {
        do throws(SocketError) {
            try connection.send(bytes)
        } catch {
            throw failure(error, connection)
        }
    }

    func write(_ bytes: [UInt8]) throws(Failure) {
        do throws(Errno) {
            try Standard.write(bytes, to: 1)
        } catch {
            throw Failure(output: error)
        }
    }

    /// Tells the user something, before the next prompt.
    func note(_ words: String) {
        report.note(words)
        catchUp()
    }

    /// Lets what was traced come out before what is written next, as far as somebody reads it.
    func catchUp() { report.flush(within: .milliseconds(100)) }

    /// A reset is no end: how much went each way says what may be missing.
    private func failure(_ error: SocketError, _ connection: Conversation) -> Failure {
        guard error.isReset else { return Failure(error) }
        connection.account.reset()
        let (received, sent) = (connection.account.received, connection.account.sent)
        return Failure(
            .failed,
            text(
                "the peer reset the connection (\(received) bytes received, \(sent) sent); the rest of what it had to say is lost",
                "对方重置了连接（收到 \(received) 字节，发送 \(sent) 字节）；它还没说完的已经丢失"), error)
    }
}
