import TestSupport
import Testing

@testable import PierKit

/// Tries that follow one another.
@Suite(.inTurn) struct RetryingTests {
    private func pauses(_ retries: String, _ backoff: String, _ count: Int) throws -> [Duration] {
        var retrying = Retrying(
            try #require(Retries(argument: retries)), try #require(Backoff(argument: backoff)))
        return (0..<count).compactMap { _ in retrying.pause() }
    }

    @Test func thereAreAsManyAsWereAskedFor() throws {
        #expect(try pauses("0", "100ms..10s", 5).isEmpty)
        #expect(try pauses("3", "100ms..10s", 5).count == 3)
        #expect(try pauses("forever", "1ms..1s", 5000).count == 5000)
    }

    @Test func theTimeDoublesAndPausesAreBetweenTheShortestAndTheLongest() throws {
        for _ in 0..<100 {
            let pauses = try pauses("10", "100ms..1s", 10)
            for (index, pause) in pauses.enumerated() {
                let most = min(Duration.milliseconds(200 << index), .seconds(1))
                #expect(pause >= most / 2 && pause <= most, "\(index)")
            }
        }
    }

    @Test func manyDoNotComeBackAtOnce() throws {
        #expect(Set(try (0..<50).flatMap { _ in try pauses("1", "1s..2s", 1) }).count > 40)
        // Unless that is asked for.
        #expect(try pauses("1", "1s..1s", 1) == [.seconds(1)])
    }
}
