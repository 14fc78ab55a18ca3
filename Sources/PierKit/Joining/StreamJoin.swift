internal import Loops
internal import SocketCore
internal import Sockets

// How a conversation of standard input and output ends
//
// Each direction ends by itself. When the input ends, the sending direction is finished, and receiving goes on until the
// peer has finished too.
//
// When the peer finishes first, it may only have nothing more to say and still want all that it is sent; or it may be gone,
// which looks the same until something is sent to it. So the input is sent on for as long as it has something and the
// peer takes it; the first `linger` of silence is the end. Nobody waits for ever for an input that does not end. What was
// not sent is told.
//
// A reset is no end: what was under way is lost, and that is told as a failure.

/// Standard input and output joined to one stream: two threads, one for each direction, in the library's blocking face.
final class StreamJoin: Join {
    let conversation: Conversation
    /// What was opened for this, where it is no socket's other end: a program, or a file, a pipe or a terminal.
    let opened: OpenedStream?
    let input: StandardInput
    let rules: JoinRules
    let activity = Activity()
    let sending = Lock(Sending())
    let sendingStopped = Bell()
    /// Where receiving ends by itself. Safety: belongs to the thread that receives.
    nonisolated(unsafe) var stop: Stop?

    /// What is known of the sending direction.
    struct Sending {
        var isUnderWay = false
        /// Whether the peer says nothing any more.
        var hasNoPeer = false
        /// How many bytes of the input were read, and neither sent nor kept.
        var unsent = 0
        /// How many sent bytes a peer that finished first had not acknowledged.
        var unheard: Int?
        var end: SendingEnd?
    }

    /// How the sending direction ended.
    enum SendingEnd {
        case inputEnded, interrupted
        case inputFailed(Failure)
        case networkFailed(Failure)
    }

    /// How long a peer that has finished may leave off taking what it is sent, where `linger` is not longer.
    private static let patience = Duration.seconds(5)

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
    var unacknowledged: Int { (try? conversation.connection.unacknowledged) ?? 0 }

    func run() throws(Failure) {
        input.resume()
        defer { tellLost() }
        var failure: Failure?
        do throws(Failure) { try converse() } catch { failure = error }
        hangUp()
        let wasReset = failure?.error?.isReset == true
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
            case .half: try Dialogue(self, input, rules).run()
            case .receive: try receiveAll(isShown: true)
            case .full, .send: try bothWays()
            }
        } catch {
            guard program != nil, error.error?.isReset == true else { throw error }
            sending.withLock { $0.unheard = 0 }
        }
    }

    /// Tells what is to be told of an end without a failure; that not all came that was asked for is one.
    private func tellEnd() throws(Failure) {
        if let stop, !stop.isReached {
            throw Failure(
                .failed, stop.missed(by: account.name),
                SocketError(
                    .receive, .ended(received: stop.count), remote: conversation.connection.remoteAddress,
                    target: account.name))
        }
        if let unheard = sending.withLock({ $0.unheard }) { tellUnsent(unheard) }
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

    /// A client whose word is waited for would not hear otherwise that nothing more comes.
    func inputStopped() {
        guard rules.answers || program != nil, rules.duplex == .half || rules.duplex == .receive else { return }
        try? conversation.finishSending()
    }

    /// Both directions at once. Where only sending is asked for, what the peer says is dropped: left unread it would stop a
    /// peer that answers, and turn the close into a reset, which destroys what was sent.
    private func bothWays() throws(Failure) {
        guard Threads.start("input", { [self] in sendInput() }) else { throw Failure.noThread }
        var failure: Failure?
        do throws(Failure) {
            try receiveAll(isShown: rules.duplex == .full)
            sending.withLock { $0.hasNoPeer = true }
            if !hasStopped { try awaitSending() }
        } catch {
            failure = error
            sending.withLock { $0.hasNoPeer = true }
        }
        // A peer that was gone has acknowledged nothing of what it was sent then.
        let unheard = unacknowledged
        input.interrupt()
        hangUp()
        awaitSendingStopped()
        let (end, unsent) = sending.withLock { ($0.end, $0.unsent) }
        let hasAll = !rules.keepsInput && unheard == 0 && unsent == 0 && input.isUsedUp()
        switch (end, failure) {
        case (.inputFailed(let own), _): throw own
        // It was this side's close, when all had arrived, that ended receiving.
        case (.inputEnded, let failure?) where rules.duplex == .send && failure.error?.cause == .closed: return
        case (_, let failure?): throw failure
        case (.inputEnded, nil): return
        case (.networkFailed(let failure), nil) where rules.duplex == .send && program == nil: throw failure
        // Who stops has no need to be told; but of what is kept for the next, nothing is lost without a word.
        case (_, nil) where hasStopped && !rules.keepsInput: return
        // Finishing may have come too late: where all had been sent, nothing is missing.
        case (.interrupted, nil) where hasAll, (.networkFailed, nil) where hasAll: return
        case (_, nil): sending.withLock { $0.unheard = unheard }
        }
    }

    /// Waits until sending has come to its end, or for as long as it may take when the peer has finished.
    private func awaitSending() throws(Failure) {
        while true {
            let (hasEnded, isUnderWay) = sending.withLock { ($0.end != nil, $0.isUnderWay) }
            if hasEnded || isOver { return }
            // Who is only sent to has nothing to say from the start.
            var limit = rules.duplex == .full ? (isUnderWay ? max(rules.linger, Self.patience) : rules.linger) : nil
            let isIdle = rules.idleTimeout.map { $0 <= limit ?? $0 } ?? false
            if isIdle { limit = rules.idleTimeout }
            var left: Duration?
            if let limit {
                left = activity.left(of: limit, unacknowledged: unacknowledged)
                if left == nil {
                    if isIdle, let idle = rules.idleTimeout { throw idleFailure(idle) }
                    return
                }
            }
            sendingStopped.waitBlockingAnyway(until: left.map { .after($0) } ?? .never)
        }
    }

    /// Waits until nobody reads the input. Who lost a race for a line of a terminal may be stuck in read(2), which concerns
    /// nobody unless another peer is to have the input.
    private func awaitSendingStopped() {
        while sending.withLock({ $0.end == nil }) {
            let rang = sendingStopped.waitBlockingAnyway(until: rules.keepsInput ? .never : .after(.seconds(1)))
            if !rang, !rules.keepsInput { return }
        }
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

    /// Says what the peer cannot have got, though it ended well.
    private func tellUnsent(_ unheard: Int) {
        if rules.keepsInput {
            guard unheard > 0 else { return }
            rules.report.unsent(
                unheard,
                text(
                    "\(account.name): \(unheard) bytes that it was sent may be lost: it has not acknowledged them, and perhaps was gone",
                    "\(account.name)：发给它的 \(unheard) 字节可能丢失：它没有确认，也许已经不在了"))
        } else if !Standard.isTerminal(0) {
            rules.note(
                text(
                    "the peer finished before the input did: \(account.sent) bytes were sent, and the rest was not",
                    "对方在输入结束之前就结束了：已发送 \(account.sent) 字节，其余没有发送"))
        }
    }
}
