/// Why a wait ended.
@frozen
package enum Wake: UInt8, Sendable {
    /// What was waited for may be there: try again.
    case ready
    /// Something else changed (a close, a deadline, a cancellation): look at all of these, then try again.
    case recheck
}

/// Whoever waits: a task's continuation, a thread's parker, a bell that one who waits for several things hears, or an
/// object that is parked; packed into a word so that it can be taken atomically.
///
/// In debug builds the continuation is a checked one, so that a second resume or none is caught.
package struct Waiter: Sendable {
    /// A pointer; its second-lowest bit says that it is a parker's, its third that it is a bell's, its fourth that it is a
    /// parked object's. Never 0 or 1: those mean that nobody waits.
    let word: UInt

    private static let parkerBit: UInt = 2
    private static let bellBit: UInt = 4
    private static let parkedBit: UInt = 8

    #if DEBUG
        package typealias Continuation = CheckedContinuation<Wake, Never>
        private final class Box {
            let continuation: Continuation
            init(_ continuation: Continuation) { self.continuation = continuation }
        }
    #else
        package typealias Continuation = UnsafeContinuation<Wake, Never>
    #endif

    init(word: UInt) {
        self.word = word
    }

    package init(_ continuation: Continuation) {
        #if DEBUG
            word = UInt(bitPattern: Unmanaged.passRetained(Box(continuation)).toOpaque())
        #else
            // Safety: an unsafe continuation is one pointer, aligned to more than eight bytes.
            word = unsafeBitCast(continuation, to: UInt.self)
        #endif
    }

    init(_ parker: Parker) {
        word = UInt(bitPattern: Unmanaged.passUnretained(parker).toOpaque()) | Self.parkerBit
    }

    /// With a reference of its own: who takes it may ring when the wait is over and the bell otherwise forgotten.
    init(_ bell: Bell) {
        _ = Unmanaged.passRetained(bell)
        word = Self.word(of: bell)
    }

    /// With a reference of its own, which is kept alive by nothing else meanwhile.
    init(parked object: AnyObject) {
        word = UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()) | Self.parkedBit
    }

    /// Gives back a parked object's reference, for who took the waiter and does not resume it.
    func releaseParked() {
        assert(word & Self.parkedBit != 0, "nothing parked")
        guard let pointer = UnsafeRawPointer(bitPattern: word & ~Self.parkedBit) else { return }
        Unmanaged<AnyObject>.fromOpaque(pointer).release()
    }

    /// The word in which a bell stands.
    static func word(of bell: Bell) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(bell).toOpaque()) | bellBit
    }

    /// Gives back a bell's reference, for who took the waiter and does not ring.
    func releaseBell() {
        assert(word & Self.bellBit != 0, "no bell")
        guard let pointer = UnsafeRawPointer(bitPattern: word & ~Self.bellBit) else { return }
        Unmanaged<Bell>.fromOpaque(pointer).release()
    }

    /// Ends the wait. Whoever took the waiter out of its word does this, exactly once.
    package func resume(_ wake: Wake) {
        if word & Self.parkerBit != 0 {
            guard let pointer = UnsafeRawPointer(bitPattern: word & ~Self.parkerBit) else { return }
            // Safety: the thread stays parked, and its parker alive, until this has been told.
            Unmanaged<Parker>.fromOpaque(pointer).takeUnretainedValue().unpark(wake)
            return
        }
        if word & Self.bellBit != 0 {
            guard let pointer = UnsafeRawPointer(bitPattern: word & ~Self.bellBit) else { return }
            // Whatever it is, who hears it looks at everything.
            Unmanaged<Bell>.fromOpaque(pointer).takeRetainedValue().ring()
            return
        }
        if word & Self.parkedBit != 0 {
            guard let pointer = UnsafeRawPointer(bitPattern: word & ~Self.parkedBit) else { return }
            Parking.wake?(pointer, wake)
            return
        }
        #if DEBUG
            guard let pointer = UnsafeRawPointer(bitPattern: word) else { return }
            Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().continuation.resume(returning: wake)
        #else
            unsafeBitCast(word, to: Continuation.self).resume(returning: wake)
        #endif
    }

    /// Suspends the calling task until its waiter, which `install` puts somewhere, is resumed.
    package static func suspend(_ install: (Waiter) -> Void) async -> Wake {
        #if DEBUG
            await withCheckedContinuation { install(Waiter($0)) }
        #else
            await withUnsafeContinuation { install(Waiter($0)) }
        #endif
    }
}
