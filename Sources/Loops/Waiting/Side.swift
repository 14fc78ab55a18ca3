internal import Synchronization

/// One direction of a socket as its waits see it: readiness and waiter in one atomic word, and until when they wait.
///
/// The word is `idle` (nothing known to be ready, nobody waits), `ready` (an edge came while nobody waited), or a waiter.
/// Only the holder of the direction's turn installs a waiter, so there is at most one; whoever exchanges it out of the
/// word, be it an event, a deadline, a cancellation or a close, resumes it, so it is resumed once.
struct Side: ~Copyable {
    static let idle: UInt = 0
    static let ready: UInt = 1

    private let word = Atomic<UInt>(idle)
    /// Until when the wait under way, or else the last one, may last.
    let waitUntil = Atomic<UInt64>(.max)

    /// The word as it is now: a number that says which task waits, among others.
    var peek: UInt { word.load(ordering: .relaxed) }

    /// Uses up remembered readiness: whether there was any.
    func takeReady() -> Bool {
        guard word.load(ordering: .relaxed) == Self.ready else { return false }
        return word.compareExchange(expected: Self.ready, desired: Self.idle, ordering: .acquiringAndReleasing)
            .exchanged
    }

    /// Puts a waiter in; false when readiness was remembered, which is thereby used up.
    func install(_ waiter: Waiter) -> Bool {
        while true {
            let (done, found) = word.compareExchange(
                expected: Self.idle, desired: waiter.word, ordering: .sequentiallyConsistent)
            if done { return true }
            assert(found == Self.ready, "two waiters in one direction")
            if takeReady() { return false }
        }
    }

    /// Takes out the waiter that `install` put in; false when somebody else has taken it and is about to resume it.
    func takeBack(_ waiter: Waiter) -> Bool {
        word.compareExchange(expected: waiter.word, desired: Self.idle, ordering: .acquiringAndReleasing).exchanged
    }

    /// Takes out a bell, if it still hangs here, and gives back the reference that came with it.
    func takeBack(_ bell: Bell) {
        let waiter = Waiter(word: Waiter.word(of: bell))
        if takeBack(waiter) { waiter.releaseBell() }
    }

    /// Readiness has come: resumes the waiter, or remembers it.
    func signalReady() {
        var found = word.load(ordering: .acquiring)
        while found != Self.ready {
            let next = found == Self.idle ? Self.ready : Self.idle
            let (done, current) = word.compareExchange(
                expected: found, desired: next, ordering: .acquiringAndReleasing)
            if done {
                if found != Self.idle { Waiter(word: found).resume(.ready) }
                return
            }
            found = current
        }
    }

    /// Something else has changed: resumes the waiter if there is one; readiness stays as it is.
    func signalRecheck() {
        // Together with the waiter's look at what may have changed, after it is in its word: either it sees the change, or
        // the one who changed sees it. That takes sequential consistency on both sides.
        let found = word.load(ordering: .sequentiallyConsistent)
        guard found != Self.idle, found != Self.ready else { return }
        if takeBack(Waiter(word: found)) { Waiter(word: found).resume(.recheck) }
    }
}
