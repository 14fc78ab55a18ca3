internal import Loops
internal import SocketCore
internal import Sockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A client and its target, joined; and what is told of them.
///
/// An object, so that while they wait the frames of the client's task hold one word of all this.
final class Joint: Sendable {
    let relay: Relay
    let target: OpenedStream
    let accounts: Accounts?
    /// Whether nobody else can be joined to this target.
    let isThereOnce: Bool

    init(
        _ client: Connection, _ stream: OpenedStream?, _ target: OpenedStream, _ settings: RelayVerb.Settings,
        isThereOnce: Bool, _ accounts: Accounts?, stopped lone: LoneRelay? = nil
    ) {
        var onFinish: (@Sendable (Connection) -> Void)?
        if accounts != nil || lone != nil {
            onFinish = { [target = target.connection] side in
                accounts?.finished(side)
                if side === target { lone?.targetHasFinished() }
            }
        }
        relay = Relay(
            client, target.connection, upTo: settings.receiveSize, idleTimeout: settings.idleTimeout,
            onFinish: onFinish, breakage: Self.breakage(stream, target, lone),
            settle: Self.settle(stream, target, lone),
            interrupt: Self.interrupt(stream, target))
        self.target = target
        self.isThereOnce = isThereOnce
        self.accounts = accounts
        for side in [stream, target] { watch(side) }
    }

    /// Breaks off what is said to an output that has failed. While its source goes on, that ends with it, and is noticed; when
    /// the source has ended before, only the next bytes for the output would find out.
    private func watch(_ side: OpenedStream?) {
        guard let side, let bridge = side.bridge else { return }
        Task(executorPreference: EventLoop.current) { [weak relay] in
            await bridge.awaitEnd()
            if bridge.failure != nil { relay?.breakOff(side.connection) }
        }
    }

    /// Whether the target has all that the client said, and its end.
    var isDelivered: Bool {
        guard relay.hasPassedEnd(to: target.connection) else { return false }
        return unacknowledged == 0 || target.connection.isGone
    }

    /// How many bytes that were sent to the target it has not acknowledged. A Unix socket's are the peer's at once.
    var unacknowledged: Int {
        if case .unix = target.connection.remoteAddress { return 0 }
        return (try? target.connection.unacknowledged) ?? 0
    }

    /// Ends it at once; what went each way is in the totals all the same.
    func cut() {
        accounts?.count(relay)
        relay.cut()
    }

    /// Why it failed, if it did, in words that say how much went each way: a failure is no end, and something may be missing.
    func failure(_ stream: OpenedStream?, _ client: StreamEnd, _ ofTarget: StreamEnd) -> Failure? {
        if let error = client.failure { return told(error, of: relay.first) }
        if let error = ofTarget.failure { return told(error, of: relay.second) }
        if let failure = killed(stream) { return failure }
        for side in [relay.first, relay.second] {
            guard let error = relay.failure(of: side) else { continue }
            let its = side === target.connection ? target : stream
            return told(its?.named(error) ?? error, of: side)
        }
        for stream in [stream, target] {
            if let stream, let failure = stream.programFailure { return told(failure, of: stream.connection) }
        }
        return nil
    }

    /// Why it failed, if a program was killed.
    func killed(_ stream: OpenedStream?) -> Failure? {
        for stream in [stream, target] {
            guard let stream, let program = stream.program, program.isKilled else { continue }
            return stream.programFailure.map { told($0, of: stream.connection) }
        }
        return nil
    }

    /// What is told of standard output has words enough.
    private func told(_ error: SocketError, of side: Connection) -> Failure {
        let failure = Failure(error)
        return failure.error == nil ? failure : told(failure, of: side)
    }

    /// The same with how much came from a side, and went there.
    private func told(_ failure: Failure, of side: Connection) -> Failure {
        guard let sentence = failure.sentence else { return failure }
        let (said, heard) = side === relay.first ? (relay.forth, relay.back) : (relay.back, relay.forth)
        let counts = text(
            " (\(said.bytes) bytes received, \(heard.bytes) sent)", "（收到 \(said.bytes) 字节，发送 \(heard.bytes) 字节）")
        return Failure(failure.status, sentence + counts, failure.error)
    }

    /// What looks like the end of a bridge is none where it failed, nor that of a program that was killed.
    private static func breakage(
        _ stream: OpenedStream?, _ target: OpenedStream, _ lone: LoneRelay?
    ) -> (@Sendable (Connection, SocketError.Operation) -> SocketError?)? {
        guard lone != nil || stream?.canBreak ?? false || target.canBreak else { return nil }
        return { connection, verb in
            if connection === target.connection { return target.breakage(verb) }
            return (verb == .receive ? lone?.breakage : nil) ?? stream?.breakage(verb)
        }
    }

    /// Sends the program SIGTERM while its input is still open, so that it does not take the cut for end-of-file.
    private static func interrupt(
        _ stream: OpenedStream?, _ target: OpenedStream
    ) -> (@Sendable (Connection) -> Void)? {
        guard stream?.program != nil || target.program != nil else { return nil }
        return { connection in
            let program = (connection === target.connection ? target : stream)?.program
            program?.signal(SIGTERM)
        }
    }

    private static func settle(
        _ stream: OpenedStream?, _ target: OpenedStream, _ lone: LoneRelay?
    ) -> (@Sendable (Connection) async -> Void)? {
        guard lone != nil || stream?.program != nil || target.program != nil else { return nil }
        return { connection in
            if connection !== target.connection { await lone?.settle() }
            await (connection === target.connection ? target : stream)?.program?.awaitEndOfStream()
        }
    }
}

extension OpenedStream {
    /// Whether it may end in a way that its connection does not tell.
    fileprivate var canBreak: Bool { bridge != nil || program != nil }

    /// Why what came from there is no whole, or why it takes no more.
    func breakage(_ verb: SocketError.Operation) -> SocketError? {
        guard let program, program.isKilled else { return verb == .receive ? bridge?.sourceFailure : bridge?.failure }
        return SocketError(.run, .system(.connectionReset), target: peerName)
    }
}
