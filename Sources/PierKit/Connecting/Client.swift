internal import Sockets
internal import Loops
internal import SocketCore

/// `connect` under way: two threads, one for each direction, in the library's blocking face.
final class Client: Sendable {
    let endpoint: Endpoint
    let duplex: Duplex
    let show: Show?
    let timeout: Duration?
    let grace: Duration?
    let trace: Trace?
    private let errors: Sink
    private let events = Events()
    private let sent = Lock(0)
    private let received = Lock(0)

    init(
        endpoint: Endpoint, duplex: Duplex, show: Show?, timeout: Duration?, grace: Duration?, isTraced: Bool
    ) {
        self.endpoint = endpoint
        self.duplex = duplex
        self.show = show
        self.timeout = timeout
        self.grace = grace
        let errors = Sink(2, .drop)
        self.errors = errors
        trace = isTraced ? Trace.lines { errors.lineOrDrop($0) } : nil
    }

    func run() throws {
        Signals.watch { [events] in events.post(.signal($0)) }
        let input = try StandardInput(trace: trace)
        let work = Lock<Result<Void, Failure>?>(nil)
        let connection = Lock<Connection?>(nil)
        let isStarted = Threads.start("connect") { [self] in
            do throws(Failure) {
                let made = try connect()
                connection.withLock { $0 = made }
                try converse(made, input)
                work.withLock { $0 = .success(()) }
            } catch {
                work.withLock { $0 = .failure(error) }
            }
            events.post(.ended(nil))
        }
        guard isStarted else { throw Failure(.failed, "the system has no thread left") }
        defer { try? errors.flush(until: .after(.milliseconds(200))) }
        try wait(isConnected: { connection.withLock { $0 != nil } }, endInput: { input.stop() })
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

    private func connect() throws(Failure) -> Connection {
        do throws(SocketError) {
            // One way or half, the wire is full-duplex; the dialogue's rule is the library's.
            return try Connection(
                to: endpoint, timeout: timeout, duplex: duplex == .half ? .half : .full, trace: trace)
        } catch {
            throw Failure(error)
        }
    }

    private func converse(_ connection: Connection, _ input: StandardInput) throws(Failure) {
        switch duplex {
        case .half: try Dialogue(connection, input, show ?? .text, self).run()
        case .send: try sendOnly(connection, input)
        case .receive: try receiveAll(connection)
        case .full: try bothWays(connection, input)
        }
        connection.close()
    }

    private func bothWays(_ connection: Connection, _ input: StandardInput) throws(Failure) {
        let progress = Lock<(hasEnded: Bool, failure: Failure?)>((false, nil))
        let isStarted = Threads.start("input") { [self] in
            do throws(InputEnd) {
                try sendAll(connection, input)
                progress.withLock { $0.hasEnded = true }
            } catch {
                // The network's end is the receiving thread's to tell. The input's own ends the command.
                guard case .inputFailed(let failure) = error else { return }
                progress.withLock { $0.failure = failure }
                connection.close()
            }
        }
        if !isStarted { throw Failure(.failed, "the system has no thread left") }
        do throws(Failure) {
            try receiveAll(connection)
        } catch {
            throw progress.withLock { $0.failure } ?? error
        }
        if !progress.withLock({ $0.hasEnded }), !Standard.isTerminal(0) {
            note(
                "the peer finished before the input did: \(sent.withLock { $0 }) bytes were sent, and the rest was not")
        }
    }

    // MARK: The two directions

    /// Why sending ended before the input did.
    private enum InputEnd: Error {
        case inputFailed(Failure)
        case networkFailed(Failure)
    }

    /// From standard input to the peer, until the input ends; then the direction is finished.
    private func sendAll(_ connection: Connection, _ input: StandardInput) throws(InputEnd) {
        while true {
            let bytes: [UInt8]?
            do throws(Failure) { bytes = try input.read(upTo: 65536) } catch { throw .inputFailed(error) }
            guard let bytes else { break }
            do throws(Failure) { try send(bytes, connection) } catch { throw .networkFailed(error) }
        }
        do throws(SocketError) { try connection.finishSending() } catch { throw .networkFailed(failure(error)) }
    }

    /// Sends, and closes only when all of it is acknowledged or the peer is gone. What the peer says meanwhile is dropped:
    /// left unread it would stop a peer that answers, and turn the close into a reset, which destroys what was sent.
    private func sendOnly(_ connection: Connection, _ input: StandardInput) throws(Failure) {
        let isGone = Lock(false)
        let isStarted = Threads.start("drop") {
            while (try? connection.receive(upTo: 65536)) != nil {}
            isGone.withLock { $0 = true }
        }
        if !isStarted { throw Failure(.failed, "the system has no thread left") }
        do throws(InputEnd) {
            try sendAll(connection, input)
        } catch {
            switch error {
            case .inputFailed(let failure), .networkFailed(let failure): throw failure
            }
        }
        // The kernel tells nobody when the last byte is acknowledged, so it is asked again and again, ever more rarely.
        var pause = Duration.milliseconds(1)
        while !isGone.withLock({ $0 }), let left = try? connection.unacknowledged, left > 0 {
            _ = try? Bell().waitBlocking(until: .after(pause))
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// From the peer to standard output, until the peer finishes.
    private func receiveAll(_ connection: Connection) throws(Failure) {
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

    func receive(_ connection: Connection) throws(Failure) -> [UInt8]? {
        do throws(SocketError) {
            let bytes = try connection.receive(upTo: 65536)
            received.withLock { $0 += bytes?.count ?? 0 }
            return bytes
        } catch {
            throw failure(error)
        }
    }

    func send(_ bytes: [UInt8], _ connection: Connection) throws(Failure) {
        do throws(SocketError) {
            try connection.send(bytes)
            sent.withLock { $0 += bytes.count }
        } catch {
            throw failure(error)
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
    func note(_ text: String) {
        errors.lineOrDrop(text)
        catchUp()
    }

    /// Lets what was traced come out before what is written next, as far as somebody reads it.
    func catchUp() { try? errors.flush(until: .after(.milliseconds(100))) }

    /// A reset is no end: how much went each way says what may be missing.
    private func failure(_ error: SocketError) -> Failure {
        guard error.isReset else { return Failure(error) }
        let counts = "\(received.withLock { $0 }) bytes received, \(sent.withLock { $0 }) sent"
        return Failure(.failed, "the peer reset the connection (\(counts)); the rest of what it had to say is lost")
    }
}
