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
        // The input's own failure ends the command.
        case .inputFailed: conversation.close()
        // The peer may stay: that all it was sent has come is the end. A program is still at work with it.
        case .inputEnded where rules.duplex == .send && program == nil: conversation.close()
        // The network's end is the receiving thread's to tell.
        case .inputEnded, .interrupted, .networkFailed: break
        }
        sendingStopped.ring()
    }

    /// Sends until the input ends; then the direction is finished.
    private func sendAll() -> SendingEnd {
        var lineEnds = LineEnds()
        while true {
            let bytes: [UInt8]?
            do throws(Failure) { bytes = try input.read(upTo: 65536) } catch { return .inputFailed(error) }
            guard let bytes else { break }
            let sent = rules.sendsReturns ? lineEnds.converted(bytes) : bytes
            do throws(Failure) { try send(sent, asRead: bytes) } catch { return .networkFailed(error) }
        }
        guard input.hasEnded else { return .interrupted }
        do throws(Failure) { try finishSending() } catch { return .networkFailed(error) }
        if rules.duplex == .send, program == nil { awaitAcknowledgement() }
        return .inputEnded
    }

    /// The kernel tells nobody when the last byte is acknowledged, so it is asked again and again, ever more rarely.
    private func awaitAcknowledgement() {
        var pause = Duration.milliseconds(1)
        while !sending.withLock({ $0.hasNoPeer }), let left = try? conversation.connection.unacknowledged, left > 0 {
            Bell.pauseThread(for: pause)
            pause = min(pause * 2, .milliseconds(20))
        }
    }

    /// Sends all of what was read, which stood in the input as `asRead`. Where another peer comes after this one, it gets
    /// what this one took nothing of.
    func send(_ bytes: [UInt8], asRead: [UInt8]? = nil) throws(Failure) {
        sending.withLock { $0.isUnderWay = true }
        activity.note()
        var sent = 0
        defer {
            activity.note()
            sending.withLock { $0.isUnderWay = false }
        }
        do throws(SocketError) {
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
                guard let left = activity.left(of: idle, unacknowledged: unacknowledged) else {
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
