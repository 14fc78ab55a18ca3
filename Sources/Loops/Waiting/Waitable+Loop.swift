package import SocketCore
internal import Synchronization
package import SystemPackage

// A socket and the loop that it is tied to: registered with its poller once, and told what that has seen.

extension Waitable {
    /// The loop whose poller tells of this socket: the one on whose thread it was first waited for, or the next of the
    /// default group.
    package var loop: EventLoop? {
        UnsafeRawPointer(bitPattern: loopWord.load(ordering: .acquiring)).map {
            // Safety: `adopt` keeps the loop for as long as this object lives.
            Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// Ties the socket to a loop, unless it is tied to one.
    package func adopt(_ loop: EventLoop) {
        guard loopWord.load(ordering: .relaxed) == 0 else { return }
        let kept = Unmanaged.passRetained(loop)
        let isFirst = loopWord.compareExchange(
            expected: 0, desired: UInt(bitPattern: kept.toOpaque()), ordering: .acquiringAndReleasing
        ).exchanged
        if !isFirst { kept.release() }
    }

    /// Registers with the loop when this is the first wait.
    package func register() throws(SocketError) {
        if state.load(ordering: .acquiring) & Self.registered != 0 { return }
        if loop == nil {
            if let current = EventLoop.current { adopt(current) } else { adopt(try EventLoopGroup.shared.next()) }
        }
        guard let loop else { return }
        let before = state.bitwiseOr(Self.registered, ordering: .acquiringAndReleasing).oldValue
        guard before & Self.registered == 0 else { return }
        // The caller has a turn, so the descriptor is open now. The loop may come to it later, and looks again.
        if loop.isCurrent { return enter(loop) }
        if !loop.execute({ self.enter(loop) }) { wakeToRecheck() }
    }

    /// On the loop's thread.
    private func enter(_ loop: EventLoop) {
        guard beginUse() else { return }
        defer { endUse() }
        let tag: UInt64
        (slot, tag) = loop.local.pointee.registry.insert(self)
        do throws(Errno) {
            try System.epollAdd(loop.poller.rawValue, rawValue, events: Registry.everything, tag: tag)
        } catch {
            registrationError.store(error.rawValue, ordering: .sequentiallyConsistent)
            loop.local.pointee.registry.remove(slot)
            slot = .max
            return wakeToRecheck()
        }
        // A wait that began meanwhile could not arm what was not yet registered.
        let next = fire(now: 0)
        if next != .max { loop.local.pointee.timers.arm(self, at: next) }
    }

    /// Why the loop could not take the socket, if it could not.
    package var failure: Errno? {
        let code = registrationError.load(ordering: .sequentiallyConsistent)
        return code == 0 ? nil : Errno(rawValue: code)
    }

    /// Whether the loop that this socket is tied to has ended.
    package var isLoopClosed: Bool { loop?.isClosed ?? false }

    /// What the poller told. On the loop's thread.
    func becameReady(_ events: UInt32) {
        if events & (Registry.readClosed | Registry.hungUp | Registry.failed | Registry.urgent) != 0 {
            // Before the readiness itself, so that who is woken by it knows.
            mayHideMore.store(true, ordering: .releasing)
        }
        let ends = Registry.hungUp | Registry.failed
        if events & (Registry.readable | Registry.readClosed | Registry.urgent | ends) != 0 { receiving.signalReady() }
        if events & (Registry.writable | ends) != 0 { sending.signalReady() }
    }

    /// The loop ends: whoever waits finds it closed.
    func loopClosed() {
        extras?.turns.wakeAll(nil)
        wakeToRecheck()
    }

    /// Has the one that waits in a direction, or will wait next, try again: something happened of which no event may tell.
    package func retry(_ direction: Direction) {
        side(direction) { $0.ring() }
    }

    /// Has those who wait look at all that can end a wait; those who are about to wait see what the caller wrote before, or
    /// caused, such as a task's cancellation.
    package func recheck() {
        receiving.signalChange()
        sending.signalChange()
    }

    /// Has those who wait look at all that can end a wait. For a change of an atomic that the waits, too, access with
    /// sequential consistency: it costs no write where there is no waiter.
    func wakeToRecheck() {
        receiving.signalRecheck()
        sending.signalRecheck()
    }
}
