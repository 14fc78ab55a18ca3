package import SocketCore
internal import Synchronization

// How an object waits that has neither a task nor a thread: it is parked. Its pointer stands in the direction's word, with
// the only reference to it that is needed, and who takes it out hands it to the one that it is parked by.
//
// So a socket that waits costs itself and nothing else. A suspended task would cost several times as much.
//
// Another object is called: it stands in the word as a task would, goes on by itself on the loop's thread when its wait is
// over, and waits again. So what is the same for each message takes no task, though a task waits for all of it.

/// How the layer above wakes what it has parked, and what is called. Functions without a context: one would be retained and
/// released with each call.
package enum Parking {
    /// Takes over a parked object's reference, and hands the object on. It is called on any thread, must not wait, and must
    /// not run what the object waits for.
    ///
    /// Safety: set once, before anything is parked, and never changed.
    @exclusivity(unchecked)
    nonisolated(unsafe) package static var wake: (@convention(c) (UnsafeRawPointer, Wake.RawValue) -> Void)?

    /// Calls an object that waited. It is called on any thread, and must not wait.
    ///
    /// Safety: as for `wake`.
    @exclusivity(unchecked)
    nonisolated(unsafe) package static var call: (@convention(c) (UnsafeRawPointer, Wake.RawValue) -> Void)?
}

extension Waitable {
    /// Whom the socket is parked by, as a number: the word that otherwise tells the task that serves it. While an object
    /// lives, no task has its address.
    package var parkedBy: UInt { servedWord }

    /// Parks an object until the socket is ready in a direction, or something else changed; or tells why there is nothing
    /// to wait for. The caller has the turn, which goes with the object, and has registered the socket.
    ///
    /// The object may be woken, and used elsewhere, before this returns.
    package func park(_ object: AnyObject, _ direction: Direction, by owner: UInt) -> Wake? {
        setServedTask(owner)
        let waiter = Waiter(parked: object)
        let wake = park(waiter, direction, of: .current)
        if wake != nil { waiter.releaseParked() }
        return wake
    }
}

extension EventLoop {
    /// Resumes a task of this loop after those that are to run already, even if an event is being told: the events that are
    /// told with it then find the task awake.
    package func resumeInTurn(_ waiter: Waiter) {
        guard isCurrent, local.pointee.isTelling else { return waiter.resume(.ready) }
        local.pointee.isTelling = false
        waiter.resume(.ready)
        local.pointee.isTelling = true
    }
}
