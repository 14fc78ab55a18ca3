internal import Loops
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A socket on its way to its peer.
final class ConnectingSocket: DrivenSocket {
    let waitable: Waitable
    let remote: SocketAddress
    let trace: Trace?
    /// Belongs to the holder of the send turn, or to the race that alone knows the socket.
    nonisolated(unsafe) private var hasBegun = false

    init(to address: SocketAddress, from source: SocketAddress?, trace: Trace?) throws(SocketError) {
        remote = address
        self.trace = trace
        do throws(Errno) {
            let descriptor = try System.socket(family: address.family)
            let isUnix = address.family == AF_UNIX
            if !isUnix { try System.set(.noDelay, to: true, of: descriptor.rawValue) }
            trace?.tell(.created, of: descriptor.rawValue)
            waitable = Waitable(descriptor, shortReadsDrain: !isUnix)
        } catch {
            throw SocketError(.connect, .system(error), remote: address)
        }
        if let source { try bind(to: source) }
    }

    private func bind(to source: SocketAddress) throws(SocketError) {
        let fd = waitable.rawValue
        do throws(Errno) {
            if source.port == 0 {
                // Else bind(2) would take a port for this socket alone, and they would be used up after 28 000.
                try System.set(.bindsWithoutPort, to: true, of: fd)
            } else {
                // The last connection from this port may be remembered still (TIME_WAIT).
                try System.set(.reuseAddress, to: true, of: fd)
            }
            try System.bind(fd, to: source)
        } catch {
            throw SocketError(.bind, .system(error), local: source, remote: remote, target: "tcp \(source)")
        }
        trace?.tell(.bound, of: fd)
    }

    var who: SocketAddress { remote }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        SocketError(operation, cause, remote: remote)
    }

    /// Begins to connect, or asks what came of it: a connect(2) goes on by itself and is never called twice.
    func attemptConnect(_ fd: CInt) throws(Errno) -> Attempt<Void> {
        guard hasBegun else {
            hasBegun = true
            return try System.connect(fd, to: remote)
        }
        if let failure = try System.get(.pendingError, of: fd) { throw failure }
        do throws(Errno) {
            _ = try System.remoteAddress(fd)
            return .done(())
        } catch .socketNotConnected {
            return .wait(.send)
        }
    }

    /// Whether TCP connected the socket to itself: on loopback a port that nobody listens on can be the very one that the
    /// kernel picked for this end.
    var isSelfConnected: Bool {
        remote.port != nil && (try? waitable.use { (fd) throws(Errno) in try System.localAddress(fd) }) == remote
    }
}
