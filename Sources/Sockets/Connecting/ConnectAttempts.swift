internal import Loops
internal import SocketCore
internal import SystemPackage

/// The attempts at one address: one as a rule, more where the kernel's answer was no answer. It never waits.
struct ConnectAttempts {
    let address: SocketAddress
    let source: SocketAddress?
    let trace: Trace?
    private var selfConnections = 0
    private var pause = Duration.milliseconds(1)

    private static let mostSelfConnections = 3
    private static let longestPause = Duration.milliseconds(100)

    init(at address: SocketAddress, from source: SocketAddress?, trace: Trace?) {
        self.address = address
        self.source = source
        self.trace = trace
    }

    /// A socket for the next attempt.
    func begin() throws(SocketError) -> ConnectingSocket {
        try ConnectingSocket(to: address, from: source, trace: trace)
    }

    /// Closes a socket that failed. Gives a pause after which to try again: a Unix listener whose queue is full says so
    /// instead of letting the connecting socket wait, and there is nothing to poll for. Any other failure is thrown.
    mutating func pause(
        after error: SocketError, of socket: ConnectingSocket, until deadline: Deadline
    ) throws(SocketError) -> Duration {
        socket.waitable.close()
        guard error.cause == .system(.wouldBlock), address.port == nil else { throw error }
        if deadline.isPast { throw socket.error(.connect, .timedOut) }
        defer { pause = min(pause * 2, Self.longestPause) }
        return pause
    }

    /// Whether a socket whose connect succeeded has a peer. One that was connected to itself is closed, and the address to
    /// be tried again; throws when that has been so too often, for then nobody listens there.
    mutating func hasPeer(_ socket: ConnectingSocket) throws(SocketError) -> Bool {
        guard socket.isSelfConnected else { return true }
        // A program that is just being started has a copy of the socket, and the next attempt may get the same port.
        _ = try? socket.waitable.use { (fd) throws(Errno) in System.dissolve(fd) }
        socket.waitable.close()
        selfConnections += 1
        if selfConnections == Self.mostSelfConnections { throw socket.error(.connect, .system(.connectionRefused)) }
        return false
    }
}
