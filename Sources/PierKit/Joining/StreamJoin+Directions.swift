internal import Loops
internal import SocketCore
internal import Sockets

extension StreamJoin {
    // MARK: From standard input to the peer

    /// The thread of the sending direction.
    func sendInput() {
        let end = sendAll()
        sending.withLock { $0.end = end }
        switch end {
        // An input that fails ends the command. The peer must not take what came before for the whole.
        case .inputFailed: cut()
        // The peer may stay: the command ends when the peer has all it was sent. A program is still at work with it.
        case .inputEnded where rules.duplex == .send && program == nil: conversation.close()
        // The receiving thread reports how the network ended it.
        case .inputEnded, .interrupted, .networkFailed: break
        }
        sendingChanged.ring()
    }

    /// Sends until the input ends; then the direction is finished.
    private func sendAll() -> SendingEnd {
        var lineEnds = LineEnds()
        while true {
            let bytes: [UInt8]?
            do throws(Failure) { bytes = try readInput() } catch { return .inputFailed(error) }
            guard let bytes else { break }
            let sent = rules.sendsReturns ? lineEnds.converted(bytes) : bytes
            do throws(Failure) { try send(sent, asRead: bytes) } catch { return .networkFailed(error) }
        }
        guard input.hasEnded else { return .interrupted }
        do throws(Failure) { try finishSending() } catch { return .networkFailed(error) }
        if rules.duplex == .send, program == nil {
            awaitAcknowledgement()
            // This side closes next, and then nothing is known of them.
            let lost = unacknowledged
            sending.withLock { $0.unsent += lost }
        }
        return .inputEnded
    }

    /// The next line of a dialogue. At a terminal the peer's end is the end of it; elsewhere only a peer that is gone.
    func readLine() throws(Failure) -> [UInt8]? {
        let read = conversation.connection.whileOpen { [input] socket in
            Result { () throws(Failure) in try input.line(watching: socket) }
        }
        return try read?.get()
    }

    /// A peer that is gone is noticed though the input is silent. The descriptor stays open during the wait.
    private func readInput() throws(Failure) -> [UInt8]? {
        let read = conversation.connection.whileOpen { [input] socket in
            Result { () throws(Failure) in try input.read(upTo: 65536, watching: socket) }
        }
        return try read?.get()
    }

    /// The kernel wakes no process when the last byte is acknowledged, so it is asked again and again, ever more rarely.
    func awaitAcknowledgement() {
        var pause = Duration.milliseconds(1)
        while queued > 0, !input.isStopped, !conversation.connection.isGone {
            Bell.pauseThread(for: pause)
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// Sends all of what was read, which stood in the input as `asRead`. Where another peer comes after this one, it gets
    /// what this one took nothing of.
    func send(_ bytes: [UInt8], asRead: [UInt8]? = nil) throws(Failure) {
        let mayGoOn = sending.withLock { sending in
            sending.isUnderWay = !sending.isOver
            return sending.isUnderWay
        }
        activity.note()
        var sent = 0
        defer {
            activity.note()
            input.passedOn()
            // The receiving thread may have chosen how long to wait while this send was under way.
            if sending.withLock({ sending in
                sending.isUnderWay = false
                return sending.isAwaited
            }) {
                sendingChanged.ring()
            }
        }
        do throws(SocketError) {
            guard mayGoOn else { throw SocketError(.send, .closed, target: account.name) }
            try conversation.send(bytes, sent: &sent)
        } catch {
            if rules.keepsInput, sent == 0 {
                input.putBack(asRead ?? bytes)
            } else {
                sending.withLock { $0.unsent += bytes.count - sent }
            }
            throw Failure(error)
        }
    }

    func finishSending() throws(Failure) {
        do throws(SocketError) {
            try conversation.finishSending()
            sending.withLock { $0.hasFinished = true }
        } catch {
            throw Failure(error)
        }
    }

    // MARK: From the peer to standard output

    /// Receives until the peer finishes; written to standard output, or dropped.
    func receiveAll(isShown: Bool) throws(Failure) {
        let shown = rules.shown
        var display = Display(shown ?? .text, keepsLines: rules.show == nil)
        while let bytes = try receive() {
            guard isShown else { continue }
            guard shown != nil else {
                try rules.write(bytes)
                continue
            }
            guard let text = display.text(for: bytes) else { continue }
            try rules.write(rules.show == nil ? text : text + "\n")
        }
        if let rest = display.rest() { try rules.write(rest) }
    }

    /// What comes next; nil when the peer has finished, or no more is asked for.
    func receive() throws(Failure) -> [UInt8]? {
        if hasStopped { return nil }
        // How long this side has taken meanwhile is not the peer's silence.
        activity.note()
        while true {
            let idle = rules.idleTimeout
            if let idle {
                guard let left = activity.left(of: idle, unacknowledged: queued) else {
                    throw idleFailure(idle)
                }
                conversation.receiveDeadline = .after(left)
            }
            do throws(SocketError) {
                let bytes = try conversation.receive(upTo: stop?.room(65536) ?? 65536)
                activity.note()
                guard let bytes else { return nil }
                return stop?.taken(of: bytes) ?? bytes
            } catch {
                if idle != nil, error.cause == .timedOut { continue }
                // A program that ends without having read all of its input; all that it said came before.
                if program != nil, error.isReset { return nil }
                throw Failure(error)
            }
        }
    }

    func idleFailure(_ limit: Duration) -> Failure {
        let error = SocketError(
            .receive, .timedOut, local: nil, remote: conversation.connection.remoteAddress, target: account.name)
        return Failure(
            .timedOut,
            text(
                "\(account.name): nothing came or went for \(limit.inSeconds) s; give it longer with --idle-timeout",
                "\(account.name)：\(limit.inSeconds) 秒内没有任何收发；请用 --idle-timeout 多给一些时间"), error)
    }
}
