internal import Loops
internal import SocketCore
internal import Sockets

// How a conversation of standard input and output ends
//
// Each direction ends by itself. At end-of-file of the input the sending direction is finished, and receiving goes on until
// the peer has finished too.
//
// A peer that finishes first says nothing about the input: it may still want all of it. So the input is sent to its end
// for as long as the peer takes it. A terminal is different: a person who sees that the peer has finished is not made to
// type an end-of-file. And with `listen --keep` the next client waits, so a second of silent input is the end of this one.
//
// A peer that has closed altogether looks, over TCP, like one that has finished. The first byte sent to it is answered
// with a reset; while the input is silent, keep-alive probes take the place of that byte.
//
// What is cut short must not look like a clean end. So a failure ends in a reset where there is one, and a program is killed.

/// Standard input and output joined to one stream: two threads, one for each direction, with the library's blocking verbs.
final class StreamJoin: Join {
    let conversation: Conversation
    /// What was opened for this, where it is no socket's other end: a program, or a file, a pipe or a terminal.
    let opened: OpenedStream?
    let input: StandardInput
    let rules: JoinRules
    let activity = Activity()
    let sending = Lock(Sending())
    /// Rings when the sending thread has ended, and when it has come out of a send after the peer's end.
    let sendingChanged = Bell()
    /// Where receiving ends by itself. Safety: belongs to the thread that receives.
    nonisolated(unsafe) var stop: Stop?
    /// Whether the connection's end has been decided: by this side's close, FIN or reset.
    let isDecided = Lock(false)

    /// What is known of the sending direction.
    struct Sending {
        var isUnderWay = false
        /// Whether the peer has finished, so that the receiving thread waits for the sending one.
        var isAwaited = false
        /// Whether nothing more may be sent: the join ends.
        var isOver = false
        /// How many bytes of the input were read, and neither sent nor kept.
        var unsent = 0
        var hasFinished = false
        /// How many sent bytes a peer that finished first had not acknowledged.
        var unheard: Int?
        var end: SendingEnd?
    }

    /// How the sending direction ended.
    enum SendingEnd {
        /// At end-of-file.
        case inputEnded
        /// Stopped by a signal or by the join's end, or because the peer is gone.
        case interrupted
        case inputFailed(Failure)
        case networkFailed(Failure)
    }

    init(
        _ conversation: Conversation, opened: OpenedStream? = nil, _ input: StandardInput, _ rules: JoinRules
    ) {
        self.conversation = conversation
        self.opened = opened
        self.input = input
        self.rules = rules
        stop = rules.stop
    }

    var account: Account { conversation.account }
    /// Whether all that was asked for has come. For the thread that receives.
    var hasStopped: Bool { stop?.isReached == true }

    func run() throws(Failure) {
        input.resume()
        defer { tellLost() }
        var failure: Failure?
        do throws(Failure) { try converse() } catch { failure = error }
        if input.isStopped { awaitDecision() }
        let wasReset = failure?.error?.isReset == true
        if failure == nil || wasReset { hangUp() } else { cut() }
        do throws(Failure) {
            try finishOpened()
        } catch {
            // Why a file could not be written is told by it alone: to the stream that is a reset, or this side's own close.
            if failure == nil || wasReset || failure?.error?.cause == .closed { failure = error }
        }
        guard let failure else { return try tellEnd() }
        // Neither direction goes on, so that nothing is told after it.
        throw failure.error?.isReset == true ? resetFailure(failure) : failure
    }

    /// Until the end of the stream. What a program left unread is no failure of the stream: how it ended says more.
    private func converse() throws(Failure) {
        do throws(Failure) {
            switch rules.duplex {
            case .half:
                try Dialogue(self, input, rules).run()
                if hasStopped { break }
                awaitAcknowledgement()
                let isWhole = try checkDelivery(
                    of: input.hasEnded ? .inputEnded : .interrupted, unheard: unacknowledged)
                if input.isTerminal, !isWhole { sending.withLock { $0.unheard = 0 } }
            case .receive:
                try receiveAll(isShown: true)
                try closeOutput()
            case .full, .send: try bothWays()
            }
        } catch {
            guard program != nil, error.error?.isReset == true else { throw error }
            sending.withLock { $0.unheard = 0 }
        }
    }

    /// Both directions at once. Where only sending is asked for, what the peer says is dropped: left unread it would stop a
    /// peer that answers, and turn the close into a reset, which destroys what was sent.
    private func bothWays() throws(Failure) {
        guard Threads.start("input", { [self] in sendInput() }) else { throw Failure.noThread }
        var failure: Failure?
        do throws(Failure) {
            try receiveAll(isShown: rules.duplex == .full)
            if !hasStopped {
                try closeOutput()
                probePeer()
                try awaitSending()
            }
        } catch {
            failure = error
        }
        // Before this side closes: a connection that is gone still knows what the peer has not acknowledged.
        let unheard = unacknowledged
        endSending()
        guard let end = sending.withLock({ $0.end }) else {
            // The thread is stuck in read(2), after another reader of the same terminal was faster.
            if let failure { throw failure }
            return
        }
        if case .inputFailed(let own) = end { throw own }
        if let failure {
            // With `--duplex send` this side closes as soon as all has arrived, which ends receiving too.
            if case .inputEnded = end, rules.duplex == .send, failure.error?.cause == .closed { return }
            throw failure
        }
        // `--bytes` or `--until` was reached. With `--keep` the user still learns what this client may not have got.
        if hasStopped, !rules.keepsInput { return }
        if try !checkDelivery(of: end, unheard: unheard) {
            sending.withLock { $0.unheard = rules.keepsInput ? unheard : 0 }
        }
    }

    // MARK: Reporting the end

    /// Tells what is to be told of an end without a failure; that not all came that was asked for is one.
    private func tellEnd() throws(Failure) {
        if let stop, !stop.isReached {
            throw Failure(
                .failed, stop.missed(by: account.name),
                SocketError(
                    .receive, .ended(received: stop.count), remote: conversation.connection.remoteAddress,
                    target: account.name))
        }
        if let unheard = sending.withLock({ $0.unheard }) { tellEarly(unheard) }
    }

    /// A reset is no end: how much went each way says what may be missing.
    private func resetFailure(_ failure: Failure) -> Failure {
        // Where it does not end the command, it is told with what ended the connection.
        if !rules.keepsInput { account.reset() }
        let (received, sent) = (account.received, account.sent)
        return Failure(
            .failed,
            text(
                "the peer reset the connection (\(received) bytes received, \(sent) sent); the rest of what it had to say is lost",
                "对方重置了连接（收到 \(received) 字节，发送 \(sent) 字节）；它还没说完的已经丢失"), failure.error)
    }

    /// Tells of what was read for this peer, and can be sent neither to it nor to the next.
    private func tellLost() {
        let unsent = sending.withLock { $0.unsent }
        guard rules.keepsInput, unsent > 0 else { return }
        rules.report.unsent(
            unsent,
            text(
                "\(account.name): \(unsent) bytes of standard input were read for it and not sent; as it was sent what stood before them, they are not kept for the next",
                "\(account.name)：为它从标准输入读取的 \(unsent) 字节没有发送；它们前面的部分已经发给了它，所以不留给下一个"))
    }

    /// Says that the peer ended before the input, though nothing of it is known to be lost.
    private func tellEarly(_ unheard: Int) {
        if rules.keepsInput {
            guard unheard > 0 else { return }
            rules.report.unsent(
                unheard,
                text(
                    "\(account.name): \(unheard) bytes that it was sent may be lost: it has not acknowledged them, and perhaps was gone",
                    "\(account.name)：发给它的 \(unheard) 字节可能丢失：它没有确认，也许已经不在了"))
        } else if !input.isStopped {
            rules.note(
                text(
                    "the peer finished before the input did: \(account.sent) bytes were sent",
                    "对方在输入结束之前就结束了：已发送 \(account.sent) 字节"))
        }
    }
}
