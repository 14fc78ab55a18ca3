internal import Loops
internal import SocketCore
internal import Sockets

/// Standard input and output joined to one stream: two threads, one for each direction, in the library's blocking face.
final class StreamJoin: Join {
    private let conversation: Conversation
    private let input: StandardInput
    private let rules: JoinRules

    init(_ conversation: Conversation, _ input: StandardInput, _ rules: JoinRules) {
        self.conversation = conversation
        self.input = input
        self.rules = rules
    }

    var account: Account { conversation.account }

    func run() throws(Failure) {
        defer { conversation.close() }
        switch rules.duplex {
        case .half: try Dialogue(self, input, rules).run()
        case .send: try sendOnly()
        case .receive: try receiveAll()
        case .full: try bothWays()
        }
    }

    func inputStopped() {}

    private func bothWays() throws(Failure) {
        let progress = Lock<(hasEnded: Bool, failure: Failure?)>((false, nil))
        let isStarted = Threads.start("input") { [self] in
            do throws(InputEnd) {
                // Told before the peer can know it: he may answer with his own end at once.
                try sendAll { progress.withLock { $0.hasEnded = true } }
            } catch {
                // The network's end is the receiving thread's to tell. The input's own ends the command.
                guard case .inputFailed(let failure) = error else { return }
                progress.withLock { $0.failure = failure }
                conversation.close()
            }
        }
        if !isStarted { throw Failure.noThread }
        do throws(Failure) {
            try receiveAll()
        } catch {
            throw progress.withLock { $0.failure } ?? error
        }
        if !progress.withLock({ $0.hasEnded }), !Standard.isTerminal(0) {
            rules.note(
                text(
                    "the peer finished before the input did: \(account.sent) bytes were sent, and the rest was not",
                    "对方在输入结束之前就结束了：已发送 \(account.sent) 字节，其余没有发送"))
        }
    }

    // MARK: The two directions

    /// Why sending ended before the input did.
    private enum InputEnd: Error {
        case inputFailed(Failure)
        case networkFailed(Failure)
    }

    /// From standard input to the peer, until the input ends; then the direction is finished.
    private func sendAll(atInputEnd tell: () -> Void = {}) throws(InputEnd) {
        while true {
            let bytes: [UInt8]?
            do throws(Failure) { bytes = try input.read(upTo: 65536) } catch { throw .inputFailed(error) }
            guard let bytes else { break }
            do throws(Failure) { try send(bytes) } catch { throw .networkFailed(error) }
        }
        tell()
        do throws(Failure) { try finishSending() } catch { throw .networkFailed(error) }
    }

    /// Sends, and closes only when all of it is acknowledged or the peer is gone. What the peer says meanwhile is dropped:
    /// left unread it would stop a peer that answers, and turn the close into a reset, which destroys what was sent.
    private func sendOnly() throws(Failure) {
        let isGone = Lock(false)
        let hasEnded = Bell()
        let isStarted = Threads.start("drop") { [conversation] in
            while (try? conversation.receive(upTo: 65536)) != nil {}
            isGone.withLock { $0 = true }
            hasEnded.ring()
        }
        if !isStarted { throw Failure.noThread }
        defer {
            // What it has dropped is counted before the end is told.
            conversation.close()
            hasEnded.waitBlockingAnyway(until: .never)
        }
        do throws(InputEnd) {
            try sendAll()
        } catch {
            switch error {
            case .inputFailed(let failure), .networkFailed(let failure): throw failure
            }
        }
        // The kernel tells nobody when the last byte is acknowledged, so it is asked again and again, ever more rarely.
        var pause = Duration.milliseconds(1)
        while !isGone.withLock({ $0 }), let left = try? conversation.connection.unacknowledged, left > 0 {
            Bell.pauseThread(for: pause)
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// From the peer to standard output, until the peer finishes.
    private func receiveAll() throws(Failure) {
        let shown = rules.shown
        var display = Display(shown ?? .text, keepsLines: rules.show == nil)
        while let bytes = try receive() {
            guard shown != nil else {
                try rules.write(bytes)
                continue
            }
            guard let text = display.text(for: bytes) else { continue }
            try rules.write(rules.show == nil ? text : text + "\n")
        }
        if let rest = display.rest() { try rules.write(rest) }
    }

    func receive() throws(Failure) -> [UInt8]? {
        do throws(SocketError) {
            return try conversation.receive(upTo: 65536)
        } catch {
            throw failure(error)
        }
    }

    func send(_ bytes: [UInt8]) throws(Failure) {
        do throws(SocketError) {
            try conversation.send(bytes)
        } catch {
            throw failure(error)
        }
    }

    func finishSending() throws(Failure) {
        do throws(SocketError) {
            try conversation.finishSending()
        } catch {
            throw failure(error)
        }
    }

    /// A reset is no end: how much went each way says what may be missing.
    private func failure(_ error: SocketError) -> Failure {
        guard error.isReset else { return Failure(error) }
        account.reset()
        let (received, sent) = (account.received, account.sent)
        return Failure(
            .failed,
            text(
                "the peer reset the connection (\(received) bytes received, \(sent) sent); the rest of what it had to say is lost",
                "对方重置了连接（收到 \(received) 字节，发送 \(sent) 字节）；它还没说完的已经丢失"), error)
    }
}
