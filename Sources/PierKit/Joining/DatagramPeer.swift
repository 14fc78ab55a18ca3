internal import SocketCore
internal import Sockets
internal import Synchronization

/// The one peer of a datagram socket: whom it is connected to, or whose datagram came first.
final class DatagramPeer: Sendable {
    let socket: DatagramSocket
    /// What made it the peer; nil where the socket was connected to it.
    private let first: Datagram?
    private let hasGivenFirst = Atomic<Bool>(false)
    private let dropped = Atomic<Int>(0)

    init(connected socket: DatagramSocket) {
        self.socket = socket
        first = nil
    }

    init(_ socket: DatagramSocket, first: Datagram) {
        self.socket = socket
        self.first = first
    }

    /// How many datagrams of others were dropped.
    var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Closes the socket, unless others may become its peer.
    func close() {
        if first == nil { socket.close() }
    }

    func send(_ bytes: [UInt8]) throws(SocketError) {
        if let first { try socket.send(bytes, toSenderOf: first) } else { try socket.send(bytes) }
    }

    /// The next datagram of the peer; those of others are dropped. Blocks the thread until the socket's deadline.
    func receive() throws(SocketError) -> [UInt8] {
        guard let first else { return try socket.receive().bytes }
        if !hasGivenFirst.exchange(true, ordering: .relaxed) { return first.bytes }
        while true {
            let next = try socket.receive()
            if next.sender == first.sender { return next.bytes }
            dropped.add(1, ordering: .relaxed)
        }
    }
}
