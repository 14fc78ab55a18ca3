internal import Loops
internal import SocketCore
internal import Synchronization

/// How many clients a `serve` has, on each loop and in all, and the accept loop's wait for room.
final class ClientCount: @unchecked Sendable {
    let limit: Int
    private let loops: Int
    private let all = Atomic<Int>(0)
    /// Safety: as many as there are loops, for as long as this object lives.
    private let byLoop: UnsafeMutablePointer<Atomic<Int>>
    private let bell = Bell()

    init(limit: Int, loops: Int) {
        self.limit = limit
        self.loops = loops
        byLoop = .allocate(capacity: loops)
        for index in 0..<loops { (byLoop + index).initialize(to: Atomic(0)) }
    }

    deinit {
        byLoop.deinitialize(count: loops)
        byLoop.deallocate()
    }

    /// Counts a client in; gives the number of the loop that has the fewest. Only the accept loop calls it.
    func enter() -> Int {
        all.add(1, ordering: .relaxed)
        var least = 0
        var fewest = Int.max
        for index in 0..<loops {
            let count = byLoop[index].load(ordering: .relaxed)
            if count < fewest { (least, fewest) = (index, count) }
        }
        byLoop[least].add(1, ordering: .relaxed)
        return least
    }

    /// Counts a client of a loop out.
    func leave(_ loop: Int?) {
        if let loop { byLoop[loop].subtract(1, ordering: .relaxed) }
        if all.subtract(1, ordering: .acquiringAndReleasing).oldValue == limit { bell.ring() }
    }

    /// Has the waiting accept loop look again: the listener was closed.
    func ring() { bell.ring() }

    var isFull: Bool { all.load(ordering: .acquiring) >= limit }

    /// Waits until a client leaves, the bell is rung for another reason, or the time has come.
    func waitForChange(until deadline: Deadline) async throws(SocketError) {
        _ = try await bell.wait(until: deadline, .accept)
    }
}
