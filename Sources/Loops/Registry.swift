internal import CSockets

/// The sockets that a loop's poller knows, each in a numbered slot with a generation.
///
/// A slot's number and generation travel through the kernel as the tag of an event. A slot that was given to another
/// socket has another generation, so an event that was on its way for the old one finds nobody.
///
/// Each descriptor is registered once, edge-triggered, for everything: `epoll_ctl(2)` is never called again for it, and
/// closing it removes it. Edge-triggered means that a wake-up is told once, when something changes; who reads must then
/// read until there is nothing left, or remember that there may be more. `Waitable` says how that is remembered.
struct Registry {
    static let edgeTriggered = csockets_EPOLLET
    static let readable = UInt32(EPOLLIN.rawValue)
    static let writable = UInt32(EPOLLOUT.rawValue)
    static let readClosed = UInt32(EPOLLRDHUP.rawValue)
    static let hungUp = UInt32(EPOLLHUP.rawValue)
    static let failed = UInt32(EPOLLERR.rawValue)
    static let urgent = UInt32(EPOLLPRI.rawValue)

    /// All that a descriptor is registered for; HUP and ERR are told in any case.
    static let everything = edgeTriggered | readable | writable | readClosed | urgent

    private struct Slot {
        /// Retained.
        var waitable: Unmanaged<Waitable>?
        var generation: UInt32
    }

    /// How many sockets there have been at a time.
    var slotCount: Int { slots.count }

    /// Where the slot is that an event's tag means.
    func slotAddress(_ tag: UInt64) -> UnsafeRawPointer? {
        let index = Int(tag & 0xffff_ffff)
        guard index < slots.count else { return nil }
        return slots.withUnsafeBufferPointer { $0.baseAddress.map { UnsafeRawPointer($0 + index) } }
    }

    /// The socket in an event's slot, without a reference of the caller's own.
    func socket(_ tag: UInt64) -> Unmanaged<Waitable>? {
        let index = Int(tag & 0xffff_ffff)
        return index < slots.count ? slots[index].waitable : nil
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []

    /// The socket that an event's tag means, unless it has been removed meanwhile.
    subscript(tag: UInt64) -> Waitable? {
        let index = Int(tag & 0xffff_ffff)
        guard index < slots.count, slots[index].generation == UInt32(tag >> 32) else { return nil }
        return slots[index].waitable?.takeUnretainedValue()
    }

    /// Every registered socket.
    var all: [Waitable] { slots.compactMap { $0.waitable?.takeUnretainedValue() } }

    /// Gives a socket a slot: its number, and the tag of its events.
    mutating func insert(_ waitable: Waitable) -> (slot: UInt32, tag: UInt64) {
        let index: UInt32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = UInt32(truncatingIfNeeded: slots.count)
            slots.append(Slot(waitable: nil, generation: 0))
        }
        slots[Int(index)].waitable = .passRetained(waitable)
        return (index, UInt64(slots[Int(index)].generation) << 32 | UInt64(index))
    }

    /// Frees a slot. Its socket calls it, once.
    mutating func remove(_ slot: UInt32) {
        let index = Int(slot)
        guard index < slots.count, let removed = slots[index].waitable else { return }
        slots[index].waitable = nil
        // The alarm's tag has all bits set: no generation reaches it before its index is out of range.
        slots[index].generation &+= 1
        free.append(slot)
        removed.release()
    }

    mutating func removeAll() -> [Waitable] {
        let removed = all
        for slot in slots { slot.waitable?.release() }
        slots = []
        free = []
        return removed
    }
}
