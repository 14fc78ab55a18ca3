internal import SocketCore
internal import Sockets

// A relay with datagrams on one side or on both.

extension RelayServer {
    /// Until the socket takes no more senders and the last session has ended; then why, if it failed.
    func serve(
        _ socket: DatagramSocket, _ settings: RelayVerb.Settings, on group: EventLoopGroup
    ) async -> SocketError? {
        if let output {
            return await output.collect(
                from: socket, on: group, Senders(on: socket, settings, report), lostDatagrams)
        }
        defer { lostDatagrams.noteOverflow(of: socket) }
        do throws(SocketError) {
            try await socket.serve(on: group, limit: settings.maxSessions, idleTimeout: settings.idleTimeout) {
                [self] session in await join(session, settings)
            }
            return nil
        } catch {
            return error
        }
    }

    /// A sender of datagrams, for as long as his session lasts.
    private func join(_ session: DatagramSession, _ settings: RelayVerb.Settings) async {
        occupancy.enter()
        defer { occupancy.leave() }
        lostDatagrams.noteOverflow(of: session.socket)
        let accounts = DatagramAccounts(of: session, report)
        do throws(SocketError) {
            if let framing = framing(for: settings) {
                try await join(session, settings, framing: framing, accounts)
            } else {
                try await join(session, accounts)
            }
        } catch {
            // Those that came meanwhile begin a session of their own; the one that began this is lost.
            lostDatagrams.note(error)
            accounts?.closed(unjoined: session, error)
        }
    }

    private func join(_ session: DatagramSession, _ accounts: DatagramAccounts?) async throws(SocketError) {
        let start = Deadline.now
        let socket = try await datagramTarget(isOnly: false) { !session.isOver }
        accounts?.connected(to: socket.remoteAddress, from: try? socket.localAddress, since: start)
        let relay = DatagramRelay(session, socket, onLoss: lostDatagrams.note)
        await run(relay, accounts)
        if ongoing.leave(relay) { accounts?.closed(relay) }
    }

    /// A sender whose target is a stream of its own: a connection, or a program.
    private func join(
        _ session: DatagramSession, _ settings: RelayVerb.Settings, framing: Framing, _ accounts: DatagramAccounts?
    ) async throws(SocketError) {
        let start = Deadline.now
        let trace = report.trace
        let target = try await targets.first {
            !session.isOver
        } onRefusal: { destination, error, _ in
            refused(destination, error)
        } by: { (destination) throws(SocketError) in
            try await destination.stream(for: session, trace)
        }
        programs.add(target)
        let stream = target.connection
        try? stream.setKeepAlive(after: keepAlive)
        accounts?.connected(to: target, since: start)
        let relay = DatagramRelay(
            session, stream, framing: framing, upTo: settings.receiveSize, linger: settings.linger,
            onLoss: lostDatagrams.note, breakage: breakage(target), interrupt: interrupt(target))
        await run(relay, accounts)
        let end = await StreamEnd(of: target, isWhole: relay.forth.failure == nil)
        programs.remove(target)
        guard ongoing.leave(relay) else { return }
        accounts?.closed(relay, target: end)
        // A program that ended badly is told, though it ends only this sender's session.
        if let failure = target.programFailure, losses.isTime, let sentence = failure.sentence { tell(sentence) }
    }

    /// A client that is a stream, and its target's datagrams. `stream` is what stands behind a client that was there from the
    /// start.
    func join(
        _ client: Connection, _ settings: RelayVerb.Settings, framing: Framing, as stream: OpenedStream?
    ) async {
        let accounts = DatagramAccounts(of: client, stream, settings.endpoint, report)
        let start = Deadline.now
        let socket: DatagramSocket
        do throws(SocketError) {
            socket = try await datagramTarget(isOnly: stream != nil) { !client.isBroken }
        } catch {
            // Not an end, which would look like an answer without words.
            stream?.cutShort()
            client.abort()
            let end = await self.end(stream, error, isWhole: false)
            accounts?.client.closed(error, end.program)
            return
        }
        accounts?.connected(to: socket.remoteAddress, from: try? socket.localAddress, since: start)
        let relay = DatagramRelay(
            client, socket, framing: framing, upTo: settings.receiveSize, idleTimeout: settings.idleTimeout,
            linger: settings.linger, onLoss: lostDatagrams.note, breakage: breakage(stream),
            interrupt: interrupt(stream))
        await run(relay, accounts)
        // What was silent for too long may be one who does not read.
        let isWhole = relay.back.failure == nil && relay.forth.failure?.cause != .timedOut
        let end = await self.end(stream, relay.forth.failure ?? relay.back.failure, isWhole: isWhole)
        if ongoing.leave(relay) { accounts?.closed(relay, client: end) }
    }

    private func run(_ relay: DatagramRelay, _ accounts: DatagramAccounts?) async {
        ongoing.enter(relay) { accounts?.count(relay) }
        await relay.run()
    }

    /// A program that was killed has not finished, and a file that could not be read to its end has not either.
    private func breakage(_ stream: OpenedStream?) -> (@Sendable () async -> SocketError?)? {
        guard let stream, stream.program != nil || stream.bridge != nil else { return nil }
        return {
            await stream.program?.awaitEndOfStream()
            return stream.breakage(.receive)
        }
    }

    /// Sends the program SIGTERM while its input is still open, so that it does not take the cut for end-of-file.
    private func interrupt(_ stream: OpenedStream?) -> (@Sendable () -> Void)? {
        guard let stream, stream.program != nil else { return nil }
        return { stream.cutShort() }
    }

    /// Leaves nothing behind of a client that was there from the start. What failed for it has failed for the command.
    private func end(_ stream: OpenedStream?, _ error: SocketError?, isWhole: Bool) async -> StreamEnd {
        let end = await StreamEnd(of: stream, isWhole: isWhole)
        guard let stream else { return end }
        programs.remove(stream)
        let reason = (end.failure ?? error.map { stream.named($0) }).map { Failure($0) }
        // A killed program says more than the reset that is made of its end.
        let isKilled = stream.program?.isKilled ?? false
        if let failure = isKilled ? stream.programFailure : reason ?? stream.programFailure { failed(failure) }
        return end
    }

    private func datagramTarget(
        isOnly: Bool, isWanted: () -> Bool
    ) async throws(SocketError) -> DatagramSocket {
        let trace = report.trace
        let socket = try await targets.first(isWanted: isWanted) { destination, error, isLast in
            // An only client's last refusal is why the command fails.
            if !isOnly || !isLast { refused(destination, error) }
        } by: { (destination) throws(SocketError) in
            try await destination.socket(trace)
        }
        if targets.areSpent { stopListening() }
        return socket
    }

    /// How the clients of an endpoint and their targets are joined: nil where both have streams or both have datagrams.
    func framing(for settings: RelayVerb.Settings) -> Framing? {
        settings.isDatagrams == targets.carryDatagrams ? nil : framing
    }
}

/// The datagrams that a relay has lost, told now and then: one that nobody answers may be asked thousands of times a second.
final class LostDatagrams: Sendable {
    private let report: Report
    private let untold = Lock<(count: Int, last: SocketError?)>((0, nil))
    private let seldom = Seldom()
    /// How many drops of each socket's queue were noted.
    private let overflows = Lock<[ObjectIdentifier: Int]>([:])

    init(_ report: Report) { self.report = report }

    @Sendable
    func note(_ error: SocketError) {
        untold.withLock { untold in
            untold.count += 1
            untold.last = error
        }
        if seldom.isTime { tell() }
    }

    /// The kernel has dropped so many before they were received, because the socket's queue was full.
    func note(overflow count: Int, of socket: DatagramSocket) {
        let reason = SocketError(
            .receive, .misuse("they came faster than they were taken, so the kernel dropped them"),
            target: "\(socket.endpoint)")
        untold.withLock { untold in
            untold.count += count
            untold.last = reason
        }
        if seldom.isTime { tell() }
    }

    /// The same, of those that the kernel has told of since this was called last.
    func noteOverflow(of socket: DatagramSocket) {
        let count = overflows.withLock { known in
            let (all, name) = (socket.overflowCount, ObjectIdentifier(socket))
            defer { known[name] = all }
            return all - (known[name] ?? 0)
        }
        if count > 0 { note(overflow: count, of: socket) }
    }

    /// Tells of those that have not been told of yet.
    func tell() {
        let (count, last) = untold.withLock { untold in
            defer { untold = (0, nil) }
            return untold
        }
        if let last { report.lost(count, last) }
    }
}
