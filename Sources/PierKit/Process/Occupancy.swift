internal import SocketCore
internal import Synchronization

/// How many clients there are, so that the memory of those who have gone goes back to the system.
///
/// What a crowd leaves is in pieces between what others still hold, and the allocator keeps it for the next crowd
/// (`malloc_trim(3)`). So when three of four have gone it is told to give it back, a second later: a crowd goes as it came.
final class Occupancy: Sendable {
    /// Fewer leave too little to speak of.
    private static let crowd = 64
    private static let patience: CInt = 1000

    private let count = Atomic<Int>(0)
    private let most = Atomic<Int>(0)
    private let isAboutToGiveBack = Atomic<Bool>(false)

    func enter() {
        let now = count.wrappingAdd(1, ordering: .relaxed).newValue
        most.max(now, ordering: .relaxed)
    }

    func leave() {
        let left = count.wrappingSubtract(1, ordering: .relaxed).newValue
        let most = most.load(ordering: .relaxed)
        guard most >= Self.crowd, left <= most / 4,
            !isAboutToGiveBack.exchange(true, ordering: .acquiringAndReleasing)
        else { return }
        // Without a thread the allocator keeps it until the next crowd has gone.
        if !Threads.start("memory", { self.giveBack() }) { isAboutToGiveBack.store(false, ordering: .releasing) }
    }

    private func giveBack() {
        System.pause(milliseconds: Self.patience)
        most.store(count.load(ordering: .relaxed), ordering: .relaxed)
        isAboutToGiveBack.store(false, ordering: .releasing)
        System.giveBackMemory()
    }
}
