internal import Synchronization

// No wake-up is lost
//
// A waiter puts itself into the word, and then looks whether its wait is over already. Another thread notes that the wait is
// over, and then looks for a waiter in the word. Both write one place and read the other (the pattern of Dekker's
// algorithm). A processor may let a read overtake an earlier write to another place: ARM does so even where the write is a
// compare-and-exchange. Then both find nothing, and the waiter sleeps forever. There are two remedies.
//
// 1. The other thread changes the word by a read-modify-write operation, also where it finds no waiter: it leaves a mark
//    (`ring`, `signalChange`). The changes of one word have one order. If the mark came before the waiter, the waiter found
//    it, and by acquiring the word it sees everything that the other thread wrote before. If the waiter came first, the
//    other thread finds it and resumes it. What the waiter looks at may then be read by any ordering. This is the remedy for
//    what is not ours to order: whether a task is cancelled, and the fields that the caller of `ring` has written.
// 2. All four accesses are sequentially consistent, so that one of the two comes later than the other's write
//    (`signalRecheck`). This costs the other thread no write to the word. It is for our own atomics: closed, loop ended,
//    deadline, failure.
//
// Tests/LoopsTests/WakeUpModelTests.swift goes through all interleavings of both, with writes that take effect late.

/// One direction of a socket as its waits see it: readiness and waiter in one atomic word, and until when they wait.
///
/// The word is a waiter, or else tells what came while there was none: readiness (`ready`), another change (`changed`), both
/// or nothing (`idle`). Only the holder of the direction's turn installs a waiter, so there is at most one. The thread that
/// exchanges it out of the word, on an event, a deadline, a cancellation or a close, resumes it, so it is resumed once.
struct Side: ~Copyable {
    static let idle: UInt = 0
    static let ready: UInt = 1
    /// The next waiter acquires the word before it looks at what may end its wait.
    static let changed: UInt = 2

    private let word = Atomic<UInt>(idle)
    /// Until when the wait under way, or else the last one, may last.
    let waitUntil = Atomic<UInt64>(.max)

    private static func isWaiter(_ word: UInt) -> Bool { word > ready | changed }

    /// The word as it is now: a number that says which task waits, among others.
    var peek: UInt { word.load(ordering: .relaxed) }

    /// Uses up remembered readiness: whether there was any.
    func takeReady() -> Bool {
        var found = word.load(ordering: .relaxed)
        while !Self.isWaiter(found), found & Self.ready != 0 {
            let (done, current) = word.compareExchange(
                expected: found, desired: found & ~Self.ready, ordering: .acquiringAndReleasing)
            if done { return true }
            found = current
        }
        return false
    }

    /// What came of putting a waiter in.
    enum Installed {
        /// It is in the word. The caller then looks at everything that may end the wait.
        case waits
        /// Readiness was remembered, and is used up by this.
        case wasReady
        /// Another waiter is in the word: two have the direction's turn, which is a fault of the library's own.
        case occupied
    }

    /// Puts a waiter in, unless the wait is over or the word has a waiter.
    func install(_ waiter: Waiter) -> Installed {
        while true {
            let (done, found) = word.compareExchange(
                expected: Self.idle, desired: waiter.word, ordering: .sequentiallyConsistent)
            if done { return .waits }
            if Self.isWaiter(found) { return .occupied }
            // A mark is used up too: this acquires what was written before it.
            let taken = word.compareExchange(expected: found, desired: Self.idle, ordering: .acquiringAndReleasing)
            if taken.exchanged, found & Self.ready != 0 { return .wasReady }
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

    /// The poller reports readiness: resumes the waiter, or remembers it.
    func signalReady() {
        // What is remembered already need not be written again. A waiter that uses it up asks the kernel next, and the
        // kernel's locks order that after what the kernel has just reported.
        let found = word.load(ordering: .acquiring)
        if Self.isWaiter(found) || found & Self.ready == 0 { leave(Self.ready, orResumeWith: .ready, found) }
    }

    /// Another thread did what is waited for: resumes the waiter, or remembers it. The waiter sees what was written before.
    func ring() {
        leave(Self.ready, orResumeWith: .ready, word.load(ordering: .relaxed))
    }

    /// Something else changed, such as that the task was cancelled: resumes the waiter if there is one, or has the next one
    /// see it. Readiness stays as it is.
    func signalChange() {
        leave(Self.changed, orResumeWith: .recheck, word.load(ordering: .relaxed))
    }

    @inline(__always)
    private func leave(_ mark: UInt, orResumeWith wake: Wake, _ guess: UInt) {
        var found = guess
        while true {
            let isWaiter = Self.isWaiter(found)
            // Also if the mark is set already: only a reader of this write acquires what this thread wrote before.
            let (done, current) = word.compareExchange(
                expected: found, desired: isWaiter ? Self.idle : found | mark, ordering: .acquiringAndReleasing)
            if done {
                if isWaiter { Waiter(word: found).resume(wake) }
                return
            }
            found = current
        }
    }

    /// Something changed in an atomic that both sides access with sequential consistency: resumes the waiter if there is
    /// one. Readiness stays as it is.
    func signalRecheck() {
        let found = word.load(ordering: .sequentiallyConsistent)
        guard Self.isWaiter(found) else { return }
        if takeBack(Waiter(word: found)) { Waiter(word: found).resume(.recheck) }
    }
}
