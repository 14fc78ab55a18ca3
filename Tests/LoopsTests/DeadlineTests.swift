@testable import Loops
import Testing
import TestSupport

/// The arithmetic of moments.
@Suite(.inTurn) struct DeadlineTests {
    @Test(
        arguments: [
            (.zero, 0), (.nanoseconds(1), 1), (.seconds(1), 1_000_000_000), (.milliseconds(1500), 1_500_000_000),
            (.nanoseconds(-1), 0), (.seconds(-1), 0), (.seconds(Int64.min), 0), (.seconds(Int64.max), .max),
            (.seconds(18_446_744_073), 18_446_744_073_000_000_000), (.seconds(18_446_744_074), .max),
            (Duration(secondsComponent: 18_446_744_073, attosecondsComponent: 709_551_615_000_000_000), .max),
            (Duration(secondsComponent: 18_446_744_073, attosecondsComponent: 709_551_616_000_000_000), .max),
            (Duration(secondsComponent: 0, attosecondsComponent: 999_999_999), 0),
            (Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999), .max),
            (Duration(secondsComponent: .min, attosecondsComponent: -999_999_999_999_999_999), 0),
        ] as [(Duration, UInt64)])
    func aDurationIsCountedInWholeNanosecondsAndNeverTraps(duration: Duration, nanoseconds: UInt64) {
        #expect(duration.clampedNanoseconds == nanoseconds)
    }

    @Test func aDurationTooLongToCountIsNever() {
        #expect(Deadline.after(.seconds(Int64.max)) == .never)
        #expect(Deadline.after(.nanoseconds(Int64.max)) != .never)
        // Fits by itself, but not on top of the time since the machine started.
        #expect(Deadline.after(.seconds(18_446_744_073)) == .never)
    }

    @Test(arguments: [Duration.zero, .nanoseconds(-1), .seconds(-5), .seconds(Int64.min)])
    func aDurationOfNothingOrLessIsNow(duration: Duration) {
        let before = Deadline.now
        let deadline = Deadline.after(duration)
        #expect(deadline >= before && deadline <= .now)
        #expect(deadline.isPast)
        #expect(deadline.remaining == .zero)
    }

    @Test func neverIsNeitherPastNorCloser() {
        #expect(!Deadline.never.isPast)
        #expect(Deadline.never.remaining == nil)
        #expect(Deadline.now < .never)
    }

    @Test func whatRemainsIsAtMostWhatWasAskedFor() throws {
        let deadline = Deadline.after(.seconds(100))
        let remaining = try #require(deadline.remaining)
        #expect(remaining > .seconds(10) && remaining <= .seconds(100))
        #expect(!deadline.isPast)
        #expect(Deadline(nanoseconds: .max - 1).remaining.map { $0 > .seconds(1_000_000_000) } == true)
    }

    @Test func theEarlierComesFirst() {
        let moments = [5, 1, 4].map { Deadline(nanoseconds: $0) }
        #expect(moments.sorted().map(\.nanoseconds) == [1, 4, 5])
    }

    // Rounded down, a wait would end before its deadline and spin.
    @Test(
        arguments: [
            (.max, 5, -1), (0, 0, 0), (5, 5, 0), (4, 5, 0), (6, 5, 1), (1_000_005, 5, 1), (1_000_006, 5, 2),
            (2_000_000, 0, 2), (.max - 1, 0, .max), (UInt64(CInt.max) * 1_000_000, 0, .max),
            (UInt64(CInt.max) * 1_000_000 - 1_000_000, 0, .max - 1),
        ] as [(UInt64, UInt64, CInt)])
    func aTimeoutIsRoundedUpToMilliseconds(until: UInt64, now: UInt64, milliseconds: CInt) {
        #expect(pollTimeout(until: until, now: now) == milliseconds)
    }
}
