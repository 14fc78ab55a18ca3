/// Something that a loop wakes at a moment: it stands in the loop's heap at most once.
package class Timed {
    /// The moment that it stands in the heap for; `.max` while it does not.
    final var armedAt = UInt64.max
    /// Its place in the heap, or -1. Only the loop's thread touches either.
    final var heapIndex: Int32 = -1

    /// Its moment may have come: wakes whom it concerns. Returns when to look again, `.max` for never.
    func fire(now: UInt64) -> UInt64 {
        .max
    }

    init() {}
}

/// The moments that a loop must not sleep past: a binary heap whose entries know their places.
///
/// An entry can be taken out when a connection closes. A heap that cannot do that would keep an entry for each closed
/// connection until its idle time had passed: at 50 000 connections a second and five minutes, fifteen million.
struct TimerHeap {
    private struct Entry {
        var deadline: UInt64
        /// Safety: an owner takes itself out before it goes away.
        unowned(unsafe) let owner: Timed
    }

    private var entries: [Entry] = []
    private var isClosed = false

    /// The earliest moment; `.max` when there is none.
    var next: UInt64 { entries.first?.deadline ?? .max }

    /// Sees to it that `owner` is looked at by `deadline`. An entry that is earlier stays: it fires, finds that it is too
    /// early, and is put where it belongs then. So a deadline that moves with every message costs nothing.
    ///
    /// False when the heap is closed: nothing will look at the owner.
    @discardableResult
    mutating func arm(_ owner: Timed, at deadline: UInt64) -> Bool {
        if owner.armedAt <= deadline { return true }
        if isClosed { return false }
        owner.armedAt = deadline
        let index = Int(owner.heapIndex)
        if index < 0 {
            entries.append(Entry(deadline: deadline, owner: owner))
            owner.heapIndex = Int32(truncatingIfNeeded: entries.count - 1)
            siftUp(entries.count - 1)
        } else {
            entries[index].deadline = deadline
            siftUp(index)
        }
        return true
    }

    /// Takes nothing in any more. The heap keeps no owner alive, so it must be empty before its loop stops taking owners out.
    mutating func close() {
        assert(entries.isEmpty, "an owner is left in the heap")
        isClosed = true
    }

    mutating func disarm(_ owner: Timed) {
        let index = Int(owner.heapIndex)
        guard index >= 0 else { return }
        owner.heapIndex = -1
        owner.armedAt = .max
        let last = entries.removeLast()
        guard index < entries.count else { return }
        place(last, at: index)
        siftUp(index)
        siftDown(index)
    }

    /// Takes out the earliest owner if its moment has come.
    mutating func popDue(now: UInt64) -> Timed? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        disarm(first.owner)
        return first.owner
    }

    private mutating func place(_ entry: Entry, at index: Int) {
        entries[index] = entry
        entry.owner.heapIndex = Int32(truncatingIfNeeded: index)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        let entry = entries[index]
        while index > 0 {
            let parent = (index - 1) / 2
            guard entry.deadline < entries[parent].deadline else { break }
            place(entries[parent], at: index)
            index = parent
        }
        place(entry, at: index)
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        let entry = entries[index]
        while true {
            var child = 2 * index + 1
            guard child < entries.count else { break }
            if child + 1 < entries.count, entries[child + 1].deadline < entries[child].deadline { child += 1 }
            guard entries[child].deadline < entry.deadline else { break }
            place(entries[child], at: index)
            index = child
        }
        place(entry, at: index)
    }
}
