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
    /// Whole seconds from 1 to 32767, rounded up. On a Unix socket this does nothing: there the system knows when a peer
    /// ends. Never waits. Throws `.closed` after `close()`. Corresponds to `setsockopt(2)` with `SO_KEEPALIVE`, `TCP_KEEPIDLE`,
    /// `TCP_KEEPINTVL` and `TCP_KEEPCNT`.
    public func setKeepAlive(after silence: Duration?) throws(SocketError) {
        if case .unix = remoteAddress {
            guard !isClosed else { throw error(.option, .closed) }
            return
        }
        guard let silence else { return try setOption(.keepAlive, to: false) }
        let seconds = silence.keepAliveSeconds
        try setOption(.keepAliveIdle, to: seconds)
        try setOption(.keepAliveInterval, to: max(1, seconds / 3))
        try setOption(.keepAliveCount, to: 3)
        try setOption(.keepAlive, to: true)
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
