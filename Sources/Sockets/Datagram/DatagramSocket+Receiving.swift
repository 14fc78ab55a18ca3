internal import Loops
public import SocketCore
package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension DatagramSocket {
    // MARK: In a task

    /// Receives one datagram, with its sender. One that is longer than `count` bytes is cut, and says so.
    ///
    /// Waits until one comes, or the socket is closed, cancelled or out of time. Throws `SocketError`; `.misuse` for a count
    /// below 1; on a connected socket
    /// `Errno.connectionRefused` says that an earlier datagram found nobody there (ICMP, RFC 1122), and the socket lives on.
    /// Corresponds to `recvmmsg(2)`: what came along with it is kept for the next call.
    public func receive(upTo count: Int = .max) async throws(SocketError) -> Datagram {
        guard count > 0 else { throw error(.receive, .tooSmall("the number of bytes", count)) }
        return try await perform(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, upTo: count)
        }
    }

    // MARK: In a thread

    /// Receives one datagram, with its sender. One that is longer than `count` bytes is cut, and says so.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public func receive(upTo count: Int = .max) throws(SocketError) -> Datagram {
        guard count > 0 else { throw error(.receive, .tooSmall("the number of bytes", count)) }
        return try performBlocking(.receive, .receive, outcome: Self.outcome) { (fd) throws(Errno) in
            try attemptReceive(fd, upTo: count)
        }
    }

    // MARK: The attempt

    private static func outcome(_ datagram: Datagram) -> Trace.Outcome {
        .datagram(datagram.bytes.count, from: datagram.sender)
    }

    private func attemptReceive(_ fd: CInt, upTo count: Int) throws(Errno) -> Attempt<Datagram> {
        if let held = ahead.take(upTo: count) { return .done(held) }
        var first: Datagram?
        let attempt = try attemptReceiveBatch(fd) { received in
            if first == nil { first = Datagram(received, upTo: count) } else { ahead.append(received) }
        }
        guard case .done = attempt, let first else { return .wait(.receive) }
        return .done(first)
    }

    /// All that one system call gets; how many that were.
    func attemptReceiveBatch(
        _ fd: CInt, _ take: (consuming System.ReceivedDatagram) -> Void
    ) throws(Errno) -> Attempt<Int> {
        let attempt = try System.receiveDatagrams(
            fd, atMost: System.mostDatagrams, room: largestReceive, takesControl: transport == .udp, take)
        switch attempt {
        case .wait(let direction): return .wait(direction)
        case .done(let batch):
            if let told = batch.overflows { note(overflows: told) }
            // Fewer than there was room for: none was left, and what comes makes an edge. But where several came at once,
            // more are likely to have come by the next call, and to try costs less than to ask the poller first.
            waitable.isDrained = batch.isAll && batch.count == 1
            return .done(batch.count)
        }
    }
}

/// What ICMP told of a datagram that was sent: a receive may be told of it, and has nothing to do with it.
private let toldByICMP: Set<CInt> = [
    ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, ENONET, EPROTO, ENOPROTOOPT, EOPNOTSUPP, EMSGSIZE,
    EACCES,
]

extension Errno {
    /// Whether it is about a datagram that was sent, and so no reason to stop receiving.
    package var isOfASentDatagram: Bool { toldByICMP.contains(rawValue) }
}
