internal import CSockets
internal import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Where a thread sleeps in a blocking wait: `poll(2)` on a socket and on an eventfd through which others wake it.
///
/// Each thread that ever waits has one, kept until the thread ends, so that a wait costs no more than its poll.
final class Parker: @unchecked Sendable {
    private let alarm: Descriptor
    private let wake = Atomic<UInt8>(0)

    private init() throws(Errno) {
        // Belongs to the thread, not to a socket: no test's ledger counts it.
        alarm = try System.eventCounter(isCounted: false)
    }

    /// The calling thread's parker, made when first asked for.
    static func current() throws(Errno) -> Parker {
        if let kept = csockets_parker() { return Unmanaged<Parker>.fromOpaque(kept).takeUnretainedValue() }
        let parker = try Parker()
        csockets_set_parker(Unmanaged.passRetained(parker).toOpaque()) { pointer in
            guard let pointer else { return }
            Unmanaged<Parker>.fromOpaque(pointer).release()
        }
        return parker
    }

    /// Wakes the thread; called once for each time that its waiter was taken.
    func unpark(_ wake: Wake) {
        self.wake.store(wake.rawValue, ordering: .releasing)
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { bytes in try? System.write(alarm.rawValue, bytes) }
    }

    /// What ended a poll.
    enum Outcome {
        case woken(Wake)
        case ready
        case timedOut
        case interrupted
    }

    /// Sleeps until the descriptor is ready in a direction (none: only until woken), the parker is woken, or the time
    /// has come.
    func park(on descriptor: CInt?, _ direction: Direction, until deadline: UInt64) throws(Errno) -> Outcome {
        var entries = [pollfd(fd: alarm.rawValue, events: CShort(POLLIN), revents: 0)]
        if let descriptor {
            entries.append(
                pollfd(fd: descriptor, events: CShort(direction == .receive ? POLLIN : POLLOUT), revents: 0))
        }
        let timeout = pollTimeout(until: deadline, now: System.now)
        guard let ready = try System.poll(&entries, milliseconds: timeout) else { return .interrupted }
        if entries[0].revents != 0 {
            var count: UInt64 = 0
            _ = withUnsafeMutableBytes(of: &count) { bytes in try? System.read(alarm.rawValue, into: bytes) }
            return .woken(Wake(rawValue: wake.load(ordering: .acquiring)) ?? .recheck)
        }
        return ready > 0 ? .ready : .timedOut
    }

    /// Waits for an `unpark` that is sure to come, because somebody else has taken the waiter.
    func awaitUnpark() -> Wake {
        while true {
            if case .woken(let wake) = (try? park(on: nil, .receive, until: .max)) { return wake }
        }
    }
}
