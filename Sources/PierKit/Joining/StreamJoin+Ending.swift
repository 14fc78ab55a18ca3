internal import Loops
internal import SocketCore
internal import Sockets

// What happens between the peer's end and this side's, and what a signal does.

extension StreamJoin {
    // MARK: After the peer's end

    /// The reader of standard output finds its end as soon as nothing more comes, though the input may go on.
    func closeOutput() throws(Failure) {
        if rules.keepsInput { return }
        do throws(Errno) { try Standard.closeOutput() } catch { throw Failure(output: error) }
    }

    /// A peer that has finished may have closed altogether, which shows only when it is asked.
    func probePeer() {
        guard let keepAlive = rules.keepAlive, keepAlive > .seconds(5) else { return }
        conversation.connection.probeFinishedPeer()
    }

    /// How many sent bytes the peer's system has not acknowledged. A Unix socket's are the peer's as soon as they are sent,
    /// but a file's are only when its thread has written them.
    var unacknowledged: Int {
        let connection = conversation.connection
        if case .unix = connection.remoteAddress, opened?.bridge == nil { return 0 }
        guard let count = try? connection.unacknowledged else { return 0 }
        // TCP counts the FIN as a byte.
        return sending.withLock { $0.hasFinished } ? max(0, count - 1) : count
    }

    /// What the peer's system has not acknowledged, or a Unix peer has not read: it changes while a slow peer takes it.
    var queued: Int { (try? conversation.connection.unacknowledged) ?? 0 }

    /// Waits until all of the input has been sent and acknowledged; or the peer takes nothing any more, or may wait no longer.
    func awaitSending() throws(Failure) {
        var isTold = rules.keepsInput
        var pause = Duration.milliseconds(1)
        sending.withLock { $0.isAwaited = true }
        while true {
            let (end, isUnderWay) = sending.withLock { ($0.end, $0.isUnderWay) }
            let left = unacknowledged
            if let end {
                guard case .inputEnded = end, left > 0, !conversation.connection.isGone else { return }
            }
            guard var limit = try timeLeft(isUnderWay: isUnderWay) else { return }
            if !isTold, !input.isStopped {
                let silence = activity.left(of: Self.notice, unacknowledged: queued)
                if silence == nil {
                    tellWaiting(isUnderWay: isUnderWay, left, hasEnded: end != nil)
                    isTold = true
                }
                limit = min(limit, silence ?? limit)
            }
            // The kernel wakes no process for an acknowledgement, so it is asked again and again, ever more rarely.
            if end != nil {
                limit = min(limit, pause)
                pause = min(pause * 2, .milliseconds(50))
            }
            sendingChanged.waitBlockingAnyway(until: .after(limit))
        }
    }

    private func tellWaiting(isUnderWay: Bool, _ unacknowledged: Int, hasEnded: Bool) {
        if hasEnded {
            return rules.report.note(
                text(
                    "the peer has finished sending; waiting until it has taken the last \(unacknowledged) bytes of standard input",
                    "对方已经发送完毕；正在等待它收下标准输入的最后 \(unacknowledged) 字节"))
        }
        if isUnderWay {
            return rules.report.note(
                text(
                    "the peer has finished sending, and takes nothing of standard input at the moment; waiting for it",
                    "对方已经发送完毕，但目前不收取标准输入的内容；正在等待它"))
        }
        // With --duplex send it is usual that the peer says nothing.
        let ways =
            rules.duplex == .send
            ? ""
            : text(
                "; to end earlier, use --duplex receive, or --linger 1s", "；要早些结束，请用 --duplex receive，或者 --linger 1s")
        rules.report.note(
            text(
                "the peer has finished sending; waiting for more of standard input, which is sent to it until it ends",
                "对方已经发送完毕；正在等待标准输入，它的内容会一直发送到结束") + ways)
    }

    private static let notice = Duration.seconds(1)
    /// How long a client that has finished may take nothing of what it is sent, while others wait (`--keep`).
    private static let patience = Duration.seconds(5)

    /// How long the silence may still last; nil when it is over.
    private func timeLeft(isUnderWay: Bool) throws(Failure) -> Duration? {
        var left = Duration.forEver
        if let idle = rules.idleTimeout {
            guard let rest = activity.left(of: idle, unacknowledged: queued) else { throw idleFailure(idle) }
            left = rest
        }
        // A receiver that is only sent to has nothing to say from the start.
        guard rules.duplex == .full, let limit = silenceLimit(isUnderWay: isUnderWay) else { return left }
        return activity.left(of: limit, unacknowledged: queued).map { min($0, left) }
    }

    /// How long the input may be silent after the peer's end; nil is for ever.
    private func silenceLimit(isUnderWay: Bool) -> Duration? {
        if rules.keepsInput {
            let linger = rules.linger ?? JoinRules.usualLinger
            return isUnderWay ? max(linger, Self.patience) : linger
        }
        if let linger = rules.linger { return linger }
        return input.isTerminal && !isUnderWay ? .zero : nil
    }

    /// Ends the sending thread, which may still wait for the input, or for a peer that takes nothing.
    func endSending() {
        let isUnderWay = sending.withLock { sending in
            sending.isOver = true
            return sending.isUnderWay
        }
        input.interrupt()
        // The rest of what is being sent is lost, so the peer must not take it for the whole.
        // After a signal the main thread decides.
        if isUnderWay, !input.isStopped, decide() { reset() }
        while sending.withLock({ $0.end == nil }) {
            // A reader that lost a race for a line of a terminal may be stuck in read(2). Only another peer would need it.
            let rang = sendingChanged.waitBlockingAnyway(until: rules.keepsInput ? .never : .after(.seconds(1)))
            if !rang, !rules.keepsInput { return }
        }
    }

    /// Throws where the peer has ended before it had all of the input; false where the input had not ended. What was not
    /// read is not lost with `--keep`: it is the next client's. A program chooses how much of its input it reads, and its
    /// status says whether all was well.
    func checkDelivery(of end: SendingEnd, unheard: Int) throws(Failure) -> Bool {
        let isWhole = if case .inputEnded = end { true } else { false }
        if rules.keepsInput || input.isStopped { return isWhole }
        if program != nil { return isWhole || input.waiting == nil }
        // The file's own error says why it took no more.
        if opened?.bridge?.failure != nil { return isWhole }
        let unsent = sending.withLock { $0.unsent }
        let waiting = isWhole || input.isTerminal ? 0 : input.waiting
        let missing = unsent + unheard + (waiting ?? 0)
        guard missing > 0 else { return isWhole || waiting == nil }
        let sent = max(0, account.sent - unheard)
        throw Failure(
            .failed,
            text(
                "the peer ended before it had all of standard input: \(sent) bytes were delivered, and at least \(missing) were not",
                "对方在收到全部标准输入之前就结束了：已送达 \(sent) 字节，至少还有 \(missing) 字节没有送达"))
    }

    // MARK: A signal

    var isDelivered: Bool {
        if conversation.connection.isGone { return true }
        return input.isAtRest && unacknowledged == 0
    }

    func tellDelivery(until deadline: Deadline) { rules.report.waitsForDelivery(to: account.name, until: deadline) }

    /// Ends the connection after a signal, when all that was read has been delivered; false where it had ended already. A
    /// terminal's input is whole when the user stops it; any other one only at end-of-file.
    func leave() -> Bool {
        guard input.isWhole || input.isTerminal, unacknowledged == 0 else { return cut() }
        guard decide() else { return false }
        try? conversation.finishSending()
        if !input.isTerminal {
            let (sent, received) = (account.sent, account.received)
            account.wasCutShort()
            rules.report.note(
                text(
                    "ended by a signal before the peer had finished: \(sent) bytes were delivered and \(received) received",
                    "对方还没有结束就被信号结束：已送达 \(sent) 字节，收到 \(received) 字节"))
        }
        endOpened()
        return true
    }

    /// Ends the connection so that the peer cannot take it for a clean end: by a reset, and a program by a signal. False
    /// where it had ended already.
    @discardableResult
    func cut() -> Bool {
        guard decide() else { return false }
        if input.isStopped { tellCut() }
        reset()
        endOpened()
        return true
    }

    /// True for the first call: that caller ends the connection.
    func decide() -> Bool {
        isDecided.withLock { isDecided in
            defer { isDecided = true }
            return !isDecided
        }
    }

    private func reset() {
        if let opened {
            // Before its input ends, which it could take for the whole.
            let programs = Programs()
            programs.add(opened)
            programs.endAll()
        }
        conversation.connection.abort()
    }

    /// Ends the program, or the threads of the bridge.
    private func endOpened() {
        switch opened?.counterpart {
        case .program, .bridge:
            if let status = try? opened?.finish(within: .milliseconds(100)) { account.closed(nil, status) }
        case .peer, nil: break
        }
    }

    private func tellCut() {
        let (left, received) = (unacknowledged, account.received)
        let sent = max(0, account.sent - left)
        let counts = text(
            "cut short by a signal: \(sent) bytes were delivered\(left > 0 ? ", \(left) were not," : "") and \(received) received",
            "被信号中断：已送达 \(sent) 字节\(left > 0 ? "，还有 \(left) 字节没有送达" : "")，收到 \(received) 字节")
        let consequence =
            switch (opened?.counterpart, conversation.connection.remoteAddress) {
            case (.program, _): text("the program is ended", "程序被结束")
            case (.bridge, _): text("the rest is not written", "其余的没有写入")
            case (_, .unix):
                text(
                    "over a Unix socket the peer sees an end, since there is no reset", "Unix 套接字没有重置，对方看到的是结束")
            default: text("the peer sees a reset", "对方看到的是重置")
            }
        account.wasCutShort()
        rules.report.note(counts + text("; ", "；") + consequence)
    }

    /// Blocks the joining thread until the main thread has ended the connection, after a signal.
    func awaitDecision() {
        while !isDecided.withLock({ $0 }) { Bell.pauseThread(for: .milliseconds(5)) }
    }
}
