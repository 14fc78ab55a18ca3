internal import Loops
internal import SocketCore

// How a relay ends: each side in its own time, with the last words to it still to arrive.

extension Relay {
    /// Each in its own time: the one may take long to let the other's words through.
    @inline(never)
    func endBoth() async {
        async let other: Void = end(second, said: forth, heard: back)
        await end(first, said: back, heard: forth)
        await other
    }

    /// Ends one side, given the direction that spoke to it and the one that heard it.
    private func end(_ side: Connection, said: Flow, heard: Flow) async {
        defer { side.close() }
        if Task.isCancelled {
            if said.failure != nil { reset(side) }
            return
        }
        if said.failure?.isBreakage(.receive) ?? false {
            await side.waitUntilAcknowledged(patience: Self.patience)
            reset(side)
        } else if heard.failure != nil, hasFailedBehind(side === first ? second : first) {
            await side.waitUntilAcknowledged(patience: Self.patience)
            reset(side)
        } else if said.failure == nil, heard.failure != nil {
            // Not all of what it said was wanted; closed at once, that would destroy the last words to it.
            await side.finishAndClose(within: Self.patience)
        }
    }
}

extension SocketError {
    /// Whether a verb broke what was under way: the peer, the network or the time that it had ended it.
    func isBreakage(_ verb: Operation) -> Bool {
        guard operation == verb else { return false }
        if case .system = cause { return true }
        return cause == .timedOut
    }
}

extension Connection {
    /// Waits until all that was sent has been acknowledged, or is lost, or until nothing more has been for a while. The
    /// kernel tells nobody, so it is asked again and again, ever more rarely.
    func waitUntilAcknowledged(patience: Duration) async {
        let clock = Bell()
        var pause = Duration.milliseconds(1)
        var deadline = Deadline.after(patience)
        var least = Int.max
        while !deadline.isPast, let left = try? unacknowledged, left > 0 {
            if left < least {
                least = left
                deadline = .after(patience)
            }
            guard (try? await clock.wait(until: .after(pause), .send)) != nil else { return }
            pause = min(pause * 2, .milliseconds(20))
        }
    }
}
