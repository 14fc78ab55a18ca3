internal import CSockets
internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension Listener {
    /// Accepts the next client: the peer's end of its connection.
    ///
    /// Waits until a client connects, or the listener is closed, cancelled or out of time. A client that went away while it
    /// queued is passed over. Throws `SocketError`: among others when this process has no descriptors left, which passes.
    /// Corresponds to `accept4(2)`.
    public func accept() async throws(SocketError) -> Connection {
        try await perform(.accept, .receive, outcome: Self.outcome) { (fd) throws(Errno) in try attemptAccept(fd) }
    }

    /// Accepts the next client: the peer's end of its connection.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public func accept() throws(SocketError) -> Connection {
        try performBlocking(.accept, .receive, outcome: Self.outcome) { (fd) throws(Errno) in try attemptAccept(fd) }
    }

    private static func outcome(_ connection: Connection) -> Trace.Outcome { .client(connection.remoteAddress) }

    private func attemptAccept(_ fd: CInt) throws(Errno) -> Attempt<Connection> {
        // A burst of clients that went away is passed over; a system that refuses every accept is told.
        for left in (0..<Self.mostPassedOver).reversed() {
            do throws(Errno) {
                switch try System.accept(fd) {
                case .wait(let direction): return .wait(direction)
                case .done(let accepted): return .done(connection(accepted))
                }
            } catch {
                // The queueing client's trouble is not the listener's: the next one.
                guard error.isOfTheClient, left > 0 else { throw error }
            }
        }
        return .wait(.receive)
    }

    private static let mostPassedOver = 1000

    private func connection(_ accepted: System.Accepted) -> Connection {
        if let trace {
            // Until it sends something, TCP counts from the handshake: how long the client has been queueing.
            let info = try? System.tcpInfo(accepted.rawValue)
            let queued = info.map { Duration.milliseconds(Int64($0.milliseconds_since_sent)) }
            trace.tell(.accepted, of: accepted.rawValue, queued: queued)
        }
        return Connection(
            Descriptor(owning: accepted.rawValue), origin: .accepted, remote: accepted.peer, listener: self,
            duplex: duplex, trace: trace)
    }
}

/// What accept(2) tells of a client that is gone already: Linux also hands over network errors that were pending.
private let troublesOfTheClient: Set<CInt> = [
    ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM,
]

extension Errno {
    fileprivate var isOfTheClient: Bool { troublesOfTheClient.contains(rawValue) }
}
