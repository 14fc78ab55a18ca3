internal import SocketCore
internal import Synchronization

/// What few sockets ever need: deadlines of the user's, and queues for their turns. It is made when it is first needed, so
/// that the many others do not pay for it with memory.
final class Extras: Sendable {
    /// Until when receives may wait, in nanoseconds; `.max` is without end.
    let receiveDeadline = Atomic<UInt64>(.max)
    /// The same for sends.
    let sendDeadline = Atomic<UInt64>(.max)
    let turns = Turns()

    func deadline(_ direction: Direction) -> UInt64 {
        direction == .receive
            ? receiveDeadline.load(ordering: .sequentiallyConsistent)
            : sendDeadline.load(ordering: .sequentiallyConsistent)
    }
}

extension Waitable {
    /// The socket's extras, if it ever needed them.
    var extras: Extras? {
        // Safety: kept for as long as this object lives, once they are there.
        UnsafeRawPointer(bitPattern: extrasWord.load(ordering: .sequentiallyConsistent)).map {
            Unmanaged<Extras>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// The socket's extras, made now if need be.
    func needExtras() -> Extras {
        if let extras { return extras }
        let made = Extras()
        let kept = Unmanaged.passRetained(made)
        // Sequentially consistent, as the deadline in it: a wait that begins now must see it, or be seen by who sets it.
        let (isFirst, others) = extrasWord.compareExchange(
            expected: 0, desired: UInt(bitPattern: kept.toOpaque()), ordering: .sequentiallyConsistent)
        if isFirst { return made }
        kept.release()
        guard let pointer = UnsafeRawPointer(bitPattern: others) else { return made }
        return Unmanaged<Extras>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Gives the extras back with the socket.
    func dropExtras() {
        guard let pointer = UnsafeRawPointer(bitPattern: extrasWord.load(ordering: .acquiring)) else { return }
        Unmanaged<Extras>.fromOpaque(pointer).release()
    }
}
