internal import Loops
internal import SocketCore
internal import Synchronization

/// A connection in whose bytes datagrams stand by a framing: one side of a relay of datagrams.
///
/// It holds what has come and is no whole datagram yet, at most one of them, and what one receive gave. Where a datagram
/// went in part only it ends by a reset: an end would say that it was whole.
final class FramedStream: DatagramEnd {
    let connection: Connection
    private let framing: Framing
    let size: Int
    /// Why what looks like the end is none, where something stands behind the connection that can fail. Waits until that can
    /// be told.
    private let breakage: (@Sendable () async -> SocketError?)?
    /// Called before the connection is reset: a program at its other end must not take that for the end of its input.
    private let interrupt: (@Sendable () -> Void)?
    /// Belongs to the one task that receives.
    nonisolated(unsafe) private var deframer: Deframer
    /// Whether the last that was sent went in part only, as far as known.
    private let isCut = Atomic<Bool>(false)
    /// How long the peer may leave off reading, in nanoseconds; `.max` is without end.
    private let patience = Atomic<UInt64>(.max)
    /// Whether nothing is to be waited for any more.
    private let hasStopped = Atomic<Bool>(false)

    init(
        _ connection: Connection, _ framing: Framing, upTo size: Int,
        breakage: (@Sendable () async -> SocketError?)? = nil, interrupt: (@Sendable () -> Void)? = nil
    ) {
        self.connection = connection
        self.interrupt = interrupt
        self.breakage = breakage
        self.framing = framing
        // More would be one datagram of full length, and a short one after it.
        self.size = framing == .none ? min(size, Framing.longest) : size
        deframer = Deframer(framing)
    }

    /// Throws what is wrong with the framing when all that came before it has been handed on.
    func receive(
        into batch: inout [[UInt8]], lost: (Lost, SocketError) -> Void
    ) async throws(SocketError) -> Bool {
        while true {
            do throws(WrongFraming) {
                while batch.count < RelayedBatch.datagrams, let datagram = try deframer.next() {
                    batch.append(datagram)
                }
            } catch {
                // It stays wrong, and so is found again.
                if batch.isEmpty { throw connection.error(.receive, error.cause) }
            }
            if !batch.isEmpty { return true }
            if let bytes = try await receiveMore() {
                deframer.append(bytes)
            } else {
                do throws(WrongFraming) {
                    guard let last = try deframer.finish() else { return false }
                    batch.append(last)
                    return true
                } catch {
                    throw connection.error(.receive, error.cause)
                }
            }
        }
    }

    /// What comes next; nil at an end that is one. What a program leaves unread does not make its end a reset.
    private func receiveMore() async throws(SocketError) -> [UInt8]? {
        do throws(SocketError) {
            if let bytes = try await connection.receive(upTo: size) { return bytes }
        } catch {
            guard connection.hasLeftUnread(error) else { throw error }
        }
        if let broken = await breakage?() { throw connection.error(.receive, broken.cause) }
        return nil
    }

    /// Who takes nothing any more may still have much to say: what is for him is lost, and ends nothing. A file that is read
    /// has never wanted any.
    func send(
        _ batch: [[UInt8]], done: inout Sent, unless isOver: () -> Bool, lost: (SocketError) -> Void
    ) async throws(SocketError) {
        do throws(SocketError) {
            try await sendAll(batch, done: &done, lost: lost)
        } catch {
            guard error.cause == .system(.brokenPipe) else { throw error }
            if connection.takesNoMore(error) { return }
            for _ in done.datagrams..<batch.count { lost(error) }
            done.datagrams = batch.count
        }
    }

    private func sendAll(
        _ batch: [[UInt8]], done: inout Sent, lost: (SocketError) -> Void
    ) async throws(SocketError) {
        var piece = Piece()
        for datagram in batch {
            if let refusal = framing.append(datagram, to: &piece.bytes) {
                lost(connection.error(.send, refusal))
                done.datagrams += 1
                continue
            }
            piece.datagrams.append((piece.bytes.count, datagram.count))
            if piece.bytes.count >= RelayedBatch.bytes {
                try await send(piece, &done)
                piece = Piece()
            }
        }
        try await send(piece, &done)
    }

    /// What is sent at once: several datagrams, where each of them ends, and how much of it is its own.
    private struct Piece {
        var bytes: [UInt8] = []
        var datagrams: [(end: Int, content: Int)] = []
    }

    private func send(_ piece: Piece, _ done: inout Sent) async throws(SocketError) {
        var sent = 0
        defer {
            for datagram in piece.datagrams where datagram.end <= sent {
                done.datagrams += 1
                done.bytes += datagram.content
            }
        }
        guard !piece.bytes.isEmpty else { return }
        // Whoever ends it meanwhile finds it cut.
        isCut.store(true, ordering: .releasing)
        do throws(SocketError) {
            while sent < piece.bytes.count {
                moveLimit()
                sent += try await connection.sendSome(piece.bytes, from: sent)
            }
            isCut.store(false, ordering: .releasing)
        } catch {
            isCut.store(sent > 0 && !piece.datagrams.contains { $0.end == sent }, ordering: .releasing)
            throw error
        }
    }

    /// Each part that the peer takes gives it the whole time again.
    private func moveLimit() {
        let patience = patience.load(ordering: .sequentiallyConsistent)
        guard patience != .max else { return }
        connection.waitable.setDeadline(.after(.nanoseconds(Int64(clamping: patience))), .send)
        // A stop that came before must not be undone; one that comes now sets it again.
        if hasStopped.load(ordering: .sequentiallyConsistent) { connection.waitable.setDeadline(.now, .send) }
    }

    func limitReceive(to deadline: Deadline) { connection.waitable.setDeadline(deadline, .receive) }

    func limitEachSend(to limit: Duration) {
        patience.store(limit.clampedNanoseconds, ordering: .sequentiallyConsistent)
        // For the one under way.
        moveLimit()
    }

    /// Nothing is waited for any more, though the connection is open.
    func stop() {
        hasStopped.store(true, ordering: .sequentiallyConsistent)
        connection.waitable.setDeadline(.now, .receive)
        connection.waitable.setDeadline(.now, .send)
    }

    func tellEnd() { if !isCut.load(ordering: .acquiring) { try? connection.finishSending() } }

    /// Waits until the peer has finished too, so that it gets all.
    func finish() async { if !isCut.load(ordering: .acquiring) { await connection.finishAndClose() } }

    func end() { if isCut.load(ordering: .acquiring) { cut() } else { connection.close() } }

    /// Ends it by a reset: the peer must not take that for an end.
    func cut() {
        interrupt?()
        connection.abort()
    }

    /// The same when all that was sent has arrived, if it does.
    func finishBroken() async {
        await connection.waitUntilAcknowledged(patience: Relay.patience)
        cut()
    }
}
