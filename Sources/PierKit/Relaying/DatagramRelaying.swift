internal import SocketCore
internal import Sockets

// A relay with datagrams on one side or on both.

extension RelayServer {
    /// Until the socket takes no more senders and the last session has ended; then why, if it failed.
    func serve(
        _ socket: DatagramSocket, _ settings: RelayVerb.Settings, on group: EventLoopGroup
    ) async -> SocketError? {
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
        let accounts = DatagramAccounts(of: session, report)
        let relay: DatagramRelay
        do throws(SocketError) {
            relay = try await target(of: session, settings, accounts)
        } catch {
            // Those that came meanwhile begin a session of their own; the one that began this is lost.
            lostDatagrams.note(error)
            accounts?.closed(unjoined: session, error)
            return
        }
        await run(relay, accounts)
        if ongoing.leave(relay) { accounts?.closed(relay) }
    }

    private func target(
        of session: DatagramSession, _ settings: RelayVerb.Settings, _ accounts: DatagramAccounts?
    ) async throws(SocketError) -> DatagramRelay {
        let start = Deadline.now
        guard let framing = framing(for: settings) else {
            let socket = try await datagramTarget(isOnly: false) { !session.isOver }
            accounts?.connected(to: socket.remoteAddress, from: try? socket.localAddress, since: start)
            return DatagramRelay(session, socket, onLoss: lostDatagrams.note)
        }
        let trace = report.trace
        let stream = try await targets.first {
            !session.isOver
        } onRefusal: { destination, error, _ in
            refused(destination, error)
        } by: { (destination) throws(SocketError) in
            try await destination.connection(trace)
        }
        try? stream.setKeepAlive(after: keepAlive)
        accounts?.connected(to: stream.remoteAddress, from: try? stream.localAddress, since: start)
        return DatagramRelay(
            session, stream, framing: framing, upTo: settings.receiveSize, linger: settings.linger,
            onLoss: lostDatagrams.note)
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
            client.abort()
            let end = await self.end(stream, error, isWhole: false)
            accounts?.client.closed(error, end.program)
            return
        }
        accounts?.connected(to: socket.remoteAddress, from: try? socket.localAddress, since: start)
        let relay = DatagramRelay(
            client, socket, framing: framing, upTo: settings.receiveSize, idleTimeout: settings.idleTimeout,
            linger: settings.linger, onLoss: lostDatagrams.note, breakage: breakage(stream))
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
        guard let stream else { return nil }
        return {
            await stream.program?.awaitEndOfStream()
            return stream.breakage(.receive)
        }
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

    init(_ report: Report) { self.report = report }

    @Sendable
    func note(_ error: SocketError) {
        untold.withLock { untold in
            untold.count += 1
            untold.last = error
        }
        if seldom.isTime { tell() }
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
