/// Why a wait ended.
@frozen
package enum Wake: UInt8, Sendable {
    /// What was waited for may be there: try again.
    case ready
    /// Something else changed (a close, a deadline, a cancellation): look at all of these, then try again.
    case recheck
    /// There was no wait, because another one is under way in the same direction.
    case refused

    /// From the value that a C function passes. A waiter that was never installed is not passed to one.
    package init(told word: RawValue) { self = word == Wake.ready.rawValue ? .ready : .recheck }
}

/// Whoever waits: a task's continuation, a thread's parker, a bell that one who waits for several things hears, an object
/// that is parked, or one that is called; packed into a word so that it can be taken atomically.
///
/// In debug builds the continuation is a checked one, so that a second resume or none is caught.
package struct Waiter: Sendable {
    /// A pointer to sixteen bytes' alignment, and in the bits that this leaves free what it points to; none of them for a
    /// continuation without a box. Never less than 4: those words mean that there is no waiter.
    let word: UInt

    /// In the place of one who does not wait yet.
    package static let nobody = Waiter(word: 0)

    private static let kinds: UInt = 0b1110
    private static let parker: UInt = 0b0010
    private static let bell: UInt = 0b0100
    private static let parked: UInt = 0b1000
    private static let called: UInt = 0b1010
    private static let boxed: UInt = 0b1100

    private var kind: UInt { word & Self.kinds }
    private var pointer: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: word & ~Self.kinds) }

    #if DEBUG
        package typealias Continuation = CheckedContinuation<Wake, Never>
    #else
        package typealias Continuation = UnsafeContinuation<Wake, Never>
    #endif

    /// A continuation that is no single word.
    private final class Box {
        let continuation: Continuation
        init(_ continuation: Continuation) { self.continuation = continuation }
    }

    init(word: UInt) {
        self.word = word
    }

    package init(_ continuation: Continuation) {
        #if !DEBUG
            if let word = RuntimeLayout.word(of: continuation) {
                self.word = word
                return
            }
        #endif
        word = UInt(bitPattern: Unmanaged.passRetained(Box(continuation)).toOpaque()) | Self.boxed
    }

    init(_ parker: Parker) {
        word = UInt(bitPattern: Unmanaged.passUnretained(parker).toOpaque()) | Self.parker
    }

    /// With a reference of its own: who takes it may ring when the wait is over and the bell otherwise forgotten.
    init(_ bell: Bell) {
        _ = Unmanaged.passRetained(bell)
        word = Self.word(of: bell)
    }

    /// With a reference of its own, which is kept alive by nothing else meanwhile.
    init(parked object: AnyObject) {
        word = UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()) | Self.parked
    }

    /// Without a reference: whoever it is keeps itself alive until it has been called.
    package init(calling object: AnyObject) {
        word = UInt(bitPattern: Unmanaged.passUnretained(object).toOpaque()) | Self.called
    }

    /// The object that is called, if this word is one's.
    static func called(in word: UInt) -> UnsafeRawPointer? {
        let waiter = Waiter(word: word)
        return waiter.kind == called ? waiter.pointer : nil
    }

    /// Gives back a parked object's reference, for who took the waiter and does not resume it.
    func releaseParked() {
        assert(kind == Self.parked, "nothing parked")
        guard let pointer else { return }
        Unmanaged<AnyObject>.fromOpaque(pointer).release()
    }

    /// The word in which a bell stands.
    static func word(of bell: Bell) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(bell).toOpaque()) | Self.bell
    }

    /// Gives back a bell's reference, for who took the waiter and does not ring.
    func releaseBell() {
        assert(kind == Self.bell, "no bell")
        guard let pointer else { return }
        Unmanaged<Bell>.fromOpaque(pointer).release()
    }

    /// Ends the wait. Whoever took the waiter out of its word does this, exactly once.
    package func resume(_ wake: Wake) {
        guard kind == 0 else { return resumeOther(wake) }
        RuntimeLayout.continuation(word)?.resume(returning: wake)
    }

    private func resumeOther(_ wake: Wake) {
        guard let pointer else { return }
        switch kind {
        case Self.parker:
            // Safety: the thread stays parked, and its parker alive, until this has been told.
            Unmanaged<Parker>.fromOpaque(pointer).takeUnretainedValue().unpark(wake)
        case Self.bell:
            // Whatever it is, who hears it looks at everything.
            Unmanaged<Bell>.fromOpaque(pointer).takeRetainedValue().ring()
        case Self.boxed:
            Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().continuation.resume(returning: wake)
        case Self.called: Parking.call?(pointer, wake.rawValue)
        default: Parking.wake?(pointer, wake.rawValue)
        }
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
