internal import SocketCore
internal import Sockets
internal import Synchronization

/// The one output to which the datagrams of all senders go: a file, standard output, or a descriptor that is no socket.
///
/// It is opened before anything listens, so that a file that cannot be opened ends the command at once.
final class SharedOutput: Sendable {
    private let stream: OpenedStream
    private let framing: Framing
    /// How many sockets still send to it.
    private let users: Atomic<Int>

    /// Whether an endpoint is such an output when datagrams go to it.
    static func isNamed(by endpoint: Endpoint) -> Bool {
        switch endpoint.place {
        case .standardStreams, .file, .descriptor: true
        case .address, .name, .port, .program, .inherited: false
        }
    }

    /// Opens it for so many sockets.
    init(_ endpoint: Endpoint, _ framing: Framing, users: Int, _ trace: Trace?) throws(SocketError) {
        stream = try Connection.openOutput(endpoint, trace: trace).forGood(endpoint)
        self.framing = framing
        self.users = Atomic(users)
    }

    /// Sends what comes to a socket on to it, until the socket is stopped or the output takes no more; then why it failed.
    /// The last socket waits until all is written.
    func collect(
        from socket: DatagramSocket, on group: EventLoopGroup, _ senders: Senders?, _ lost: LostDatagrams
    ) async -> SocketError? {
        // A reader that goes away, or a full disk, may be noticed when no datagram comes.
        let watch = Task(executorPreference: group.loops[0]) { [stream] in
            let end = try? await stream.connection.receive(upTo: 1)
            if end == nil, !Task.isCancelled { socket.close() }
        }
        var failure: SocketError?
        do throws(SocketError) {
            try await socket.forward(to: stream.connection, framing: framing, on: group) { [stream] datagram, loss in
                senders?.heard(datagram, loss)
                if let loss { lost.note(stream.named(loss)) }
            } overflowed: { count in
                lost.note(overflow: count, of: socket)
            }
        } catch {
            failure = error
        }
        watch.cancel()
        senders?.end()
        guard users.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 || failure != nil else {
            return stream.bridge?.failure
        }
        let end = await StreamEnd(of: stream, isWhole: failure == nil && stream.bridge?.failure == nil)
        return end.failure ?? failure.map { stream.named($0) }
    }

    /// Closes it where it is still open. Blocks the thread until its threads have ended.
    func close() { _ = try? stream.finish(within: .zero) }
}
