internal import Loops
public import SocketCore
internal import SystemPackage

// A peer that vanished
//
// A machine that loses its power, or a network that swallows everything, sends no end and no reset. Who sends to it finds
// out when the system has tried again for long enough (`tcp_retries2`, some fifteen minutes; `SocketOption.userTimeout`
// makes it shorter). Who only waits for it never does, unless the system asks: that is a keep-alive probe, which a living
// peer's system answers without troubling its program.

extension Connection {
    /// Has the system ask a peer that was silent for a time whether it is still there, and again after each third of that
    /// time; when three went unanswered, the next verb, or the one that waits, fails with `Errno.timedOut`. Nil: it is not asked.
    ///
    /// Whole seconds from 1 to 32767, rounded up; throws `.misuse` for a time that is not above zero. On a Unix socket this
    /// does nothing: there the system knows when a peer ends. Never waits. Throws `.closed` after `close()`. Corresponds to
    /// `setsockopt(2)` with `SO_KEEPALIVE`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT`.
    public func setKeepAlive(after silence: Duration?) throws(SocketError) {
        let isUnix = if case .unix = remoteAddress { true } else { false }
        try askForSigns(after: silence, isUnix: isUnix)
    }
}

extension Connection {
    /// Has the system ask a peer that has finished every 5 s whether it is still there: it may have closed altogether, and
    /// then its system answers with a reset as soon as it has forgotten the connection (`tcp_fin_timeout`, 60 s). A peer
    /// that cannot be reached for less than a minute is not given up.
    package func probeFinishedPeer() {
        if case .unix = remoteAddress { return }
        _ = try? waitable.use { (fd) throws(Errno) in
            try System.set(.keepAliveIdle, to: 5, of: fd)
            try System.set(.keepAliveInterval, to: 5, of: fd)
            try System.set(.keepAliveCount, to: 12, of: fd)
            try System.set(.keepAlive, to: true, of: fd)
        }
    }
}

extension Listener {
    /// What `Connection.setKeepAlive` does, for each client that connects from now on: its socket inherits it.
    ///
    /// Never waits. Throws `.closed` after `close()`. Corresponds to `setsockopt(2)`.
    public func setKeepAlive(after silence: Duration?) throws(SocketError) {
        let isUnix = if case .unix = address { true } else { false }
        try askForSigns(after: silence, isUnix: isUnix)
    }
}

extension DrivenSocket {
    fileprivate func askForSigns(after silence: Duration?, isUnix: Bool) throws(SocketError) {
        if let wrong = SocketError.Cause.refusing("the time until a probe", silence) { throw error(.option, wrong) }
        do throws(Errno) {
            let done: Void? = try waitable.use { (fd) throws(Errno) in
                if isUnix { return }
                if let silence {
                    let seconds = silence.keepAliveSeconds
                    try System.set(.keepAliveIdle, to: seconds, of: fd)
                    try System.set(.keepAliveInterval, to: max(1, seconds / 3), of: fd)
                    try System.set(.keepAliveCount, to: 3, of: fd)
                }
                try System.set(.keepAlive, to: silence != nil, of: fd)
            }
            if done != nil { return }
        } catch {
            throw self.error(.option, .system(error))
        }
        throw error(.option, .closed)
    }
}

extension Duration {
    /// As the kernel takes it.
    fileprivate var keepAliveSeconds: Int {
        let nanoseconds = clampedNanoseconds
        let seconds = nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1)
        return Int(min(max(seconds, 1), 32767))
    }
}
