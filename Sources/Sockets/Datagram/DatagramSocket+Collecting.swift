internal import Loops
internal import SocketCore
internal import Synchronization
internal import SystemPackage

// Datagrams of any number of senders that go to one stream. There are no sessions: one task receives a batch, writes it and
// only then receives the next. So each datagram arrives whole and in the order in which the kernel queued them. While the
// stream takes nothing, datagrams wait in the kernel's queue. When that is full the kernel drops what comes over UDP, and
// holds up the senders of a Unix socket.

extension DatagramSocket {
    /// Sends every datagram that comes, from any sender, on to one stream, which several sockets may share.
    ///
    /// Waits, and returns after `stopReceiving()`, `finishServing(afterSilence:)` or `close()`. The first two take what the
    /// kernel has queued by then. Nothing is sent back. `came` is called for each datagram when it has been sent, or with the
    /// reason why it is lost. `overflowed` is told how many the kernel has dropped since the last batch. Throws why the socket
    /// or the stream failed. At most one batch of datagrams is held. Corresponds to `recvmmsg(2)` and `send(2)`.
    package func forward(
        to output: Connection, framing: Framing, on loops: EventLoopGroup,
        came: @escaping @Sendable (_ datagram: Datagram, _ loss: SocketError?) -> Void,
        overflowed: @escaping @Sendable (_ count: Int) -> Void
    ) async throws(SocketError) {
        let collector = DatagramCollector(
            socket: self, output: output, framing: framing, came: came, overflowed: overflowed)
        try await whileServed(by: collector, on: waitable.loop ?? loops.next()) { await collector.run() }
    }

    /// Hands on what one system call gets without waiting; how many datagrams that were. The caller is the socket's only
    /// receiver.
    fileprivate func receiveQueued(_ take: (Datagram) -> Void) throws(SocketError) -> Int {
        let attempt = try ask { (fd) throws(Errno) in
            try attemptReceiveBatch(fd) { received in take(Datagram(received, upTo: .max)) }
        }
        guard case .done(let count) = attempt else { return 0 }
        return count
    }
}

/// One `forward` under way.
private final class DatagramCollector: DatagramServing {
    private let socket: DatagramSocket
    private let output: Connection
    private let framing: Framing
    private let came: @Sendable (Datagram, SocketError?) -> Void
    private let overflowed: @Sendable (Int) -> Void
    private let hasEnded = Atomic<Bool>(false)
    /// How many drops of the kernel have been told. Belongs to the task that receives.
    nonisolated(unsafe) private var overflowsTold = 0

    /// A sender that never pauses must not keep the last pass over the kernel's queue from ending. The default queue holds
    /// fewer than 300 datagrams.
    private static let mostLastBatches = 64

    init(
        socket: DatagramSocket, output: Connection, framing: Framing,
        came: @escaping @Sendable (Datagram, SocketError?) -> Void, overflowed: @escaping @Sendable (Int) -> Void
    ) {
        self.socket = socket
        self.output = output
        self.framing = framing
        self.came = came
        self.overflowed = overflowed
    }

    var isOver: Bool { hasEnded.load(ordering: .acquiring) }

    func stop() {
        hasEnded.store(true, ordering: .sequentiallyConsistent)
        socket.lookAgain()
    }

    func finish(afterSilence silence: Duration) { socket.stopReceiving() }

    func run() async -> SocketError? {
        var failure: SocketError?
        var batch: [Datagram] = []
        let ended = await socket.receiveBatches(for: self) {
            batch.append($0)
        } finishBatch: { _ in
            do throws(SocketError) {
                try await send(batch)
            } catch {
                failure = error
                stop()
            }
            batch = []
        }
        if let failure = failure ?? ended { return failure }
        do throws(SocketError) {
            for _ in 0..<Self.mostLastBatches where !socket.isClosed && !Task.isCancelled {
                guard try socket.receiveQueued({ batch.append($0) }) > 0 else { break }
                try await send(batch)
                batch = []
            }
        } catch {
            return error
        }
        return nil
    }

    /// Sends a batch in as few pieces as fit into 64 KiB each. A piece is one `send`, so that those of several sockets do
    /// not mix.
    private func send(_ batch: [Datagram]) async throws(SocketError) {
        let dropped = socket.overflowCount - overflowsTold
        if dropped > 0 {
            overflowsTold += dropped
            overflowed(dropped)
        }
        var piece: [UInt8] = []
        var inPiece: [Datagram] = []
        for datagram in batch {
            if let cause = framing.append(datagram.bytes, to: &piece) {
                came(datagram, output.error(.send, cause))
                continue
            }
            inPiece.append(datagram)
            if piece.count >= RelayedBatch.bytes {
                try await send(piece, of: inPiece)
                (piece, inPiece) = ([], [])
            }
        }
        try await send(piece, of: inPiece)
    }

    private func send(_ piece: [UInt8], of datagrams: [Datagram]) async throws(SocketError) {
        guard !datagrams.isEmpty else { return }
        do throws(SocketError) {
            if !piece.isEmpty { try await output.send(piece) }
        } catch {
            for datagram in datagrams { came(datagram, error) }
            throw error
        }
        for datagram in datagrams { came(datagram, nil) }
    }
}
