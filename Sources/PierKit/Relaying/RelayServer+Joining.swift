internal import Loops
internal import SocketCore
internal import Sockets

// What a relayed client costs is what its task holds while it waits, and the most that it ever held: a task keeps the memory
// of its deepest moment. So what is needed only before that, or after, has functions and tasks of its own.

extension RelayServer {
    /// Joins a client to a target until both have ended. `stream` is what stands behind a client that was there from the start.
    func join(_ client: Connection, _ settings: RelayVerb.Settings, as stream: OpenedStream? = nil) async {
        occupancy.enter()
        defer { occupancy.leave() }
        if let framing = framing(for: settings) { return await join(client, settings, framing: framing, as: stream) }
        guard let joint = await reach(client, settings, stream) else { return }
        ongoing.enter(joint) { joint.cut() }
        if stream != nil { lone.joined(joint) }
        await joint.relay.run()
        await conclude(joint, stream)
    }

    /// Joins a client to a target, in a task of its own; nil when none took it, and then it has been told.
    @inline(never)
    private func reach(
        _ client: Connection, _ settings: RelayVerb.Settings, _ stream: OpenedStream?
    ) async -> Joint? {
        let connecting = Task(executorPreference: EventLoop.current) { await self.connect(client, settings, stream) }
        return await withTaskCancellationHandler {
            await connecting.value
        } onCancel: {
            connecting.cancel()
        }
    }

    private func connect(
        _ client: Connection, _ settings: RelayVerb.Settings, _ stream: OpenedStream?
    ) async -> Joint? {
        let accounts = Accounts(of: client, stream, settings.endpoint, report)
        let start = Deadline.now
        do throws(SocketError) {
            let (target, destination) = try await targets.connect(for: client, report.trace) {
                !client.isBroken
            } onRefusal: { target, error, isLast in
                // An only client's last refusal is why the command fails.
                if stream == nil || !isLast { refused(target, error) }
            }
            programs.add(target)
            if targets.areSpent { stopListening() }
            try? target.connection.setKeepAlive(after: keepAlive)
            accounts?.connected(to: target, since: start)
            return Joint(
                client, stream, target, settings, isThereOnce: destination.endpoint.isThereOnce, accounts,
                stopped: stream == nil ? nil : lone)
        } catch {
            // Not an end, which would look like an answer without words.
            stream?.cutShort()
            client.abort()
            if let stream {
                failed(Failure(error))
                _ = try? await stream.finish()
                programs.remove(stream)
            }
            accounts?.client.closed(error)
            return nil
        }
    }

    /// Leaves nothing of either side behind, and tells how it ended.
    @inline(never)
    private func conclude(_ joint: Joint, _ stream: OpenedStream?) async {
        let relay = joint.relay
        async let ofTarget = StreamEnd(of: joint.target, isWhole: relay.forth.failure == nil)
        let client = await StreamEnd(of: stream, isWhole: relay.back.failure == nil)
        let target = await ofTarget
        programs.remove(joint.target)
        if let stream { programs.remove(stream) }
        guard ongoing.leave(joint) else { return }
        joint.accounts?.closed(relay, client, target)
        if stream != nil || joint.isThereOnce {
            if let failure = joint.failure(stream, client, target) { failed(failure) }
        } else if let broken = (client.failure ?? target.failure)?.said ?? joint.killed(stream)?.sentence, losses.isTime
        {
            tell(broken)
        }
    }

    /// What a client was the only one for has failed. Where nobody else can come, so has the command.
    func failed(_ error: Failure) {
        if !isListening {
            failure.withLock { $0 = $0 ?? error }
        } else if let sentence = error.sentence {
            tell(sentence)
        }
    }

    /// As an event it is told with the client.
    func tell(_ words: String) {
        if report.form != .json { report.warning(words) }
    }

    func refused(_ target: Destination, _ error: SocketError) {
        guard refusals.isTime else { return }
        report.warning("\(target.endpoint): \(error.said)")
    }
}

extension Relay {
    /// Why a side failed, if it did.
    func failure(of side: Connection) -> SocketError? {
        let (said, heard) = side === first ? (forth, back) : (back, forth)
        if let failure = said.failure, failure.operation == .receive { return failure }
        guard let failure = heard.failure, failure.operation == .send, !side.isAtLibertyTo(failure) else { return nil }
        return failure
    }
}
