internal import Synchronization

/// What other threads hand to a loop: jobs and actions, pushed without a lock, taken all at once by the loop.
///
/// A stack in one atomic word; the taker turns it around, so that each thread's pushes keep their order. When the loop has
/// ended, the word becomes a mark that no push gets past: what comes too late is refused, never lost.
struct RemoteQueue: ~Copyable {
    enum Work {
        case job(UnownedJob)
        case action(() -> Void)
    }

    private struct Node {
        var next: UInt
        let work: Work
    }

    private static let empty: UInt = 0
    private static let closed: UInt = 1

    private let head = Atomic<UInt>(0)

    var isEmpty: Bool { head.load(ordering: .sequentiallyConsistent) == Self.empty }

    /// Puts work in; false when the queue is closed.
    func push(_ work: Work) -> Bool {
        let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
        var first = head.load(ordering: .relaxed)
        node.initialize(to: Node(next: first, work: work))
        while first != Self.closed {
            node.pointee.next = first
            // Sequentially consistent, together with the loop's look at `isEmpty` before it sleeps: either the loop sees
            // the node, or the pusher sees that the loop sleeps.
            let (done, current) = head.weakCompareExchange(
                expected: first, desired: UInt(bitPattern: node), ordering: .sequentiallyConsistent)
            if done { return true }
            first = current
        }
        node.deinitialize(count: 1)
        node.deallocate()
        return false
    }

    /// Takes everything out, oldest first. Only the loop's thread calls it.
    func drain(closing: Bool = false, _ body: (Work) -> Void) {
        let taken = head.exchange(closing ? Self.closed : Self.empty, ordering: .acquiringAndReleasing)
        guard taken != Self.closed else { return }
        var reversed: UnsafeMutablePointer<Node>?
        var node = UnsafeMutablePointer<Node>(bitPattern: taken)
        while let current = node {
            node = UnsafeMutablePointer(bitPattern: current.pointee.next)
            current.pointee.next = UInt(bitPattern: reversed)
            reversed = current
        }
        while let current = reversed {
            reversed = UnsafeMutablePointer(bitPattern: current.pointee.next)
            let work = current.move().work
            current.deallocate()
            body(work)
        }
    }
}
