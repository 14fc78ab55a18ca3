import SocketCore
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@testable import PierKit

@Suite(.inTurn) struct SignalRepeatsTests {
    private let start: UInt64 = 1_000_000_000_000

    private func millisecond(_ number: UInt64) -> UInt64 { start + number * 1_000_000 }

    @Test func theSameSignalFromTheSameProcessWithinHalfASecondIsOne() {
        var repeats = SignalRepeats()
        let signal = System.Signal(SIGTERM, sender: 7)
        let times: [UInt64] = [0, 1, 499]
        #expect(times.map { repeats.counts(signal, at: millisecond($0)) } == [true, false, false])
    }

    @Test func theWindowOpensWithTheSignalThatCounted() {
        var repeats = SignalRepeats()
        let signal = System.Signal(SIGTERM, sender: 7)
        let times: [UInt64] = [0, 400, 500, 900, 1000]
        #expect(times.map { repeats.counts(signal, at: millisecond($0)) } == [true, false, true, false, true])
    }

    @Test func anotherSignalOrAnotherProcessCounts() {
        var repeats = SignalRepeats()
        let signals = [
            System.Signal(SIGTERM, sender: 7), System.Signal(SIGINT, sender: 7), System.Signal(SIGINT, sender: 8),
        ]
        #expect(signals.map { repeats.counts($0, at: start) } == [true, true, true])
    }

    @Test func everyControlCCounts() {
        var repeats = SignalRepeats()
        let signal = System.Signal(SIGINT, sender: nil)
        #expect((0..<3).map { _ in repeats.counts(signal, at: start) } == [true, true, true])
    }
}
