internal import Loops
internal import SocketCore
internal import SystemPackage

/// One side of a relay of datagrams: a sender's session, a socket that is connected to one peer, or a stream with a framing.
///
/// What comes together is handed on together: a system call for each would be most of what a small datagram costs.
protocol DatagramEnd: AnyObject, Sendable {
    /// Adds all that has come, at least one datagram; false when nothing more will. Waits until one comes. `lost` is told
    /// what it learns meanwhile of datagrams that are lost, and throws what ends this side.
    func receive(
        into batch: inout [[UInt8]], lost: (Lost, SocketError) -> Void
    ) async throws(SocketError) -> Bool
    /// Sends all of them. `lost` is told of each that could not be sent, and the others go on. Throws what ends this side;
    /// `done` says how far it came, also then. It takes no more than a second or so when `isOver` says so.
    func send(
        _ batch: [[UInt8]], done: inout Sent, unless isOver: () -> Bool, lost: (SocketError) -> Void
    ) async throws(SocketError)
    /// How many hops the datagrams that came last may have on their way on; -1 where that is not known.
    var hops: CInt { get }
    /// With how many hops what is sent from now on leaves.
    func setHops(_ hops: CInt)
    /// Until when a receive may wait.
    func limitReceive(to deadline: Deadline)
    /// How long a stream's peer may leave off reading what it is sent; who reads slowly is given more time and more.
    func limitEachSend(to limit: Duration)
    /// Tells the peer that nothing more comes, where there is a way to say so.
    func tellEnd()
    /// Ends all that is under way here.
    func end()
}

/// How much of a batch has been sent.
struct Sent {
    var bytes = 0
    /// Those that are sent or told to be lost.
    var datagrams = 0
}

/// Which datagram is lost.
enum Lost {
    /// One that has come.
    case received
    /// One that was sent before, as the network tells only now.
    case sent
}

extension DatagramEnd {
    var hops: CInt { -1 }
    func setHops(_ hops: CInt) {}
    func limitReceive(to deadline: Deadline) {}
    func limitEachSend(to limit: Duration) {}
    func tellEnd() {}
}

/// So much of what has come goes on at once, in bytes and in datagrams.
enum RelayedBatch {
    static let bytes = 65536
    static let datagrams = System.mostDatagrams
}

// MARK: - A session

extension DatagramSession: DatagramEnd {
    func receive(
        into batch: inout [[UInt8]], lost: (Lost, SocketError) -> Void
    ) async throws(SocketError) -> Bool {
        while batch.isEmpty {
            do throws(SocketError) {
                guard let first = try await receive() else { return false }
                if mayGoOn { batch.append(first) } else { lost(.received, noHopLeft) }
                var bytes = first.count
                while batch.count < RelayedBatch.datagrams, bytes < RelayedBatch.bytes, let more = takeNow() {
                    bytes += more.count
                    if mayGoOn { batch.append(more) } else { lost(.received, noHopLeft) }
                }
            } catch {
                guard case .system = error.cause else { throw error }
                lost(.sent, error)
            }
        }
        return true
    }

    /// A relay is a hop like any other: so two that are each other's target do not keep a datagram going for ever.
    private var mayGoOn: Bool { lastPassage.answer != nil }

    private var noHopLeft: SocketError {
        socket.error(.receive, .misuse("the datagram had no hop left"), with: remoteAddress)
    }

    var hops: CInt { lastPassage.answer?.hops ?? -1 }

    /// A sender whose queue is full is waited for, but no longer than a second; then the rest of the batch is lost.
    func send(
        _ batch: [[UInt8]], done: inout Sent, unless isOver: () -> Bool, lost: (SocketError) -> Void
    ) async throws(SocketError) {
        touch()
        let passage = lastPassage.answer
        guard isAnswerable, let passage else {
            let reason = isAnswerable ? noHopLeft : noAddress
            for _ in batch { lost(reason) }
            done.datagrams = batch.count
            return
        }
        let gathers = batch.count > 1 && beginGathering()
        var failure: SocketError?
        // Each may be waited for, and be sent at last; behind the end no longer than one.
        let end = Deadline.after(DatagramSocket.patienceOfAnswers)
        while failure == nil, done.datagrams < batch.count, !isOver() || !end.isPast {
            let bytes = batch[done.datagrams]
            do throws(SocketError) {
                if let earlier = takeRefusal() { lost(earlier) }
                try await answer(bytes, by: passage)
                done.bytes += bytes.count
                done.datagrams += 1
            } catch {
                switch error.cause {
                case .closed, .cancelled: failure = error
                case .timedOut:
                    for _ in done.datagrams..<batch.count { lost(error) }
                    done.datagrams = batch.count
                default:
                    lost(error)
                    done.datagrams += 1
                }
            }
        }
        if gathers { await sendGathered() }
        if let failure { throw failure }
    }

    private var noAddress: SocketError { socket.error(.send, .system(.addressRequired), with: remoteAddress) }

    func end() { finish() }
}

// MARK: - A connected socket

extension DatagramSocket: DatagramEnd {
    func receive(
        into batch: inout [[UInt8]], lost: (Lost, SocketError) -> Void
    ) async throws(SocketError) -> Bool {
        while true {
            var datagrams: [[UInt8]] = []
            do throws(SocketError) {
                _ = try await receiveBatch { datagrams.append($0.bytes) }
                batch += datagrams
                return true
            } catch {
                switch error.cause {
                case .system(let errno) where errno.isOfASentDatagram || errno == .connectionReset: lost(.sent, error)
                // It passes.
                case .system(let errno) where errno.isShortage: try await EventLoop.sleep(for: .milliseconds(5))
                default: throw error
                }
            }
        }
    }

    /// A peer whose queue is full is waited for, but no longer than a second; then the rest of the batch is lost.
    func send(
        _ batch: [[UInt8]], done: inout Sent, unless isOver: () -> Bool, lost: (SocketError) -> Void
    ) async throws(SocketError) {
        // An error may be an earlier datagram's, and this one not have been tried: so it is tried once more.
        var earlier: SocketError?
        while done.datagrams < batch.count {
            do throws(SocketError) {
                var count = trace == nil ? try sendNow(batch[done.datagrams...]) : 0
                if count == 0 {
                    try await sendPatiently(batch[done.datagrams])
                    count = 1
                }
                // A Unix socket is told of no other datagram but the one at hand.
                if let earlier, transport == .udp { lost(earlier) }
                earlier = nil
                for bytes in batch[done.datagrams..<done.datagrams + count] { done.bytes += bytes.count }
                done.datagrams += count
            } catch {
                switch error.cause {
                case .closed, .cancelled: throw error
                case .timedOut:
                    for _ in done.datagrams..<batch.count { lost(error) }
                    done.datagrams = batch.count
                case .system where earlier == nil:
                    earlier = error
                    rejoin()
                default:
                    lost(error)
                    earlier = nil
                    done.datagrams += 1
                }
            }
        }
    }

    func setHops(_ hops: CInt) {
        guard transport == .udp, hops > 0 else { return }
        let isIPv6 = if case .ipv6? = remoteAddress { true } else { false }
        try? setOption(isIPv6 ? .hops6 : .hops4, to: Int(hops))
    }

    func limitReceive(to deadline: Deadline) { waitable.setDeadline(deadline, .receive) }

    func end() { close() }
}
