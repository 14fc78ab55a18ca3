internal import Loops
internal import SocketCore
internal import Synchronization
internal import SystemPackage

// A message that was cut
//
// `send` sends all of its bytes or fails. A deadline, a cancellation or a failing system call can end it after the kernel
// took some of them. The peer then has the beginning of a message, and would take whatever is sent next for its rest. So
// every later send fails, until the caller acknowledges that the message is cut. A FIN would tell the peer that the message
// was whole: `finishSending` fails too, and a close, or the end of the process, is a reset (`SO_LINGER` at zero).
//
// The holder of the send turn sets the mark before it gives the turn away, so no send that waits in the queue can slip in
// before it.

extension Connection {
    /// How many bytes of a cut message were sent, 4 294 967 295 at the most; nil if no message is cut, or the caller has
    /// acknowledged it.
    ///
    /// A message is cut when a `send` fails (deadline, idle time, cancellation, system call) after some of its bytes were
    /// sent, or when a `forward` to this connection ends so. From then on every send, every `forward` to this connection and
    /// `finishSending()` fail with `.messageCut`, and `close()` and `finishAndClose()` reset the connection (a Unix socket
    /// has no reset: its peer finds an end). Receiving goes on. `acknowledgeCutMessage()` ends this state. Where the peer or
    /// this side's `finishSending()` ended the direction, the kernel refuses all sends, and no message counts as cut.
    public var cutMessage: Int? {
        let count = cutCount
        return count > 0 ? count : nil
    }

    /// Lets sends go on after a message was cut; returns how many of its bytes were sent, nil if no message was cut.
    ///
    /// What is sent next follows the cut message's last byte. The caller makes sure that the peer can tell: it sends the
    /// rest of the message, or what its protocol has for that. Never waits. Turns `SO_LINGER` off.
    @discardableResult
    public func acknowledgeCutMessage() -> Int? {
        Self.cutting.withLock { _ in
            guard let count = cutMessage else { return nil }
            // Before sends may go on, so that it cannot undo what a later cut sets.
            _ = try? waitable.use { (fd) throws(Errno) in try System.resetAtClose(fd, false) }
            cut.store(0, ordering: .releasing)
            return count
        }
    }

    /// Marks the message as cut if some of its bytes were sent. The caller holds the send turn, so the descriptor is open
    /// even after a close.
    @inline(never)
    func noteCut(after sent: Int, _ error: SocketError) {
        guard sent > 0, !error.isReset else { return }
        Self.cutting.withLock { _ in
            cut.store(UInt32(clamping: sent), ordering: .releasing)
            try? System.resetAtClose(waitable.rawValue)
        }
    }

    /// Guards the pair of mark and socket option, of all connections: a cut is rare.
    private static let cutting = Lock<Void>(())
}

extension SendingHalf {
    /// How many bytes of a cut message were sent; see `Connection.cutMessage`.
    public var cutMessage: Int? { connection.cutMessage }

    /// Lets sends go on after a message was cut; see `Connection.acknowledgeCutMessage()`.
    @discardableResult
    public func acknowledgeCutMessage() -> Int? { connection.acknowledgeCutMessage() }
}
