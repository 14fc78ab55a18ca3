internal import Loops
internal import SocketCore
internal import SystemPackage

// The third driver
//
// A client that is served message by message waits without a task: its connection is parked, and when its wait is over it
// goes into the list of the crew that parked it (`Crew`), where a worker takes it up. What the driver for tasks keeps in a
// frame across the wait must therefore be in the connection, or not be needed: the turn stays taken, and until when the
// wait may last stands with the waitable. So a wait is the same here in all that can be seen: it is traced, keeps the
// deadline, and notices a close and a cancellation.

extension Connection {
    /// What came of asking for a message.
    enum Message {
        /// These bytes.
        case came([UInt8])
        /// The peer has finished, or this side has stopped receiving.
        case finished
        /// There is none yet: the connection is parked, and no longer the caller's.
        case parked
    }

    /// Takes the receive turn, behind those who came first.
    @inline(__always)
    func takeReceiveTurn() async throws(SocketError) {
        let turn = try turn(for: .receive)
        if waitable.tryTakeTurn(turn) != .mine { try await queue(.receive, .receive, turn) }
    }

    /// Gives the receive turn to the next.
    func giveReceiveTurn() {
        if let turn = try? turn(for: .receive) { waitable.giveTurn(turn) }
    }

    /// Whether a receive would find nothing for sure. The caller has the turn.
    var isKnownToBeEmpty: Bool { waitable.isDrained && !holdsUnread }

    /// Receives what has come, or parks the connection with a crew. The caller has the receive turn; it stays with a parked
    /// connection, and is given back otherwise. `wake` is what ended the wait, if it was parked before.
    ///
    /// Never waits. Throws what a receive that waits would throw.
    func receiveOrPark(upTo count: Int, wokenBy wake: Wake?, with crew: Crew) throws(SocketError) -> Message {
        do throws(SocketError) {
            let message = try attemptOrPark(count, wake, crew)
            // Parked, it may be somebody else's by now.
            if case .parked = message { return message }
            giveReceiveTurn()
            return message
        } catch {
            giveReceiveTurn()
            throw error
        }
    }

    private func attemptOrPark(_ count: Int, _ wake: Wake?, _ crew: Crew) throws(SocketError) -> Message {
        var waited = trace == nil ? 0 : crew.takeWaitStart(of: self)
        var wake = wake
        if wake == nil {
            if let refusal = refusal(.receive, .receive) { throw refusal }
            if isKnownToBeEmpty {
                wake = try park(with: crew, &waited)
                if wake == nil { return .parked }
            }
        }
        while true {
            if let woken = wake {
                if woken != .ready { try recheck(.receive, .receive, waited, woken) }
                waitable.isDrained = false
            }
            let result: Attempt<[UInt8]?>
            do throws(Errno) {
                result = try attemptReceive(waitable.rawValue, upTo: count)
            } catch {
                throw failed(.receive, error, waited)
            }
            switch result {
            case .wait:
                wake = try park(with: crew, &waited)
                if wake == nil { return .parked }
            case .done(let bytes?):
                if trace != nil { tell(.receive, waited, .came(bytes.count)) }
                return .came(bytes)
            case .done(nil):
                if trace != nil { tell(.receive, waited, .finished) }
                return .finished
            }
        }
    }

    private func park(with crew: Crew, _ waited: inout UInt64) throws(SocketError) -> Wake? {
        try waitable.register()
        if trace != nil {
            if waited == 0 { waited = System.now }
            // Before it is parked: from then on it may be another's.
            crew.keepWaitStart(of: self, waited)
        }
        guard let wake = waitable.park(self, .receive, by: crew.word) else { return nil }
        if trace != nil { _ = crew.takeWaitStart(of: self) }
        return wake
    }
}
