import SocketCore
import TestSupport
import Testing

@testable import PierKit

/// Which of the refusals is told as the last, with which the search for a target ends.
@Suite(.inTurn) struct TargetsTests {
    private func told(retries: String, isWanted: [Bool]) async throws -> [Bool] {
        let all = try ["unix:a", "unix:b"].map {
            Destination(try Endpoint($0), isDatagrams: false, source: nil, family: nil, timeout: nil)
        }
        let (retries, pause) = (Retries(argument: retries), Backoff(argument: "1ms..1ms"))
        let targets = Targets(all, Retrying(try #require(retries), try #require(pause)))
        var told: [Bool] = []
        await #expect(throws: SocketError.self) {
            try await targets.first {
                // Both are told of in each round.
                isWanted.dropFirst(told.count / 2).first ?? false
            } onRefusal: { _, _, isLast in
                told.append(isLast)
            } by: { (_) throws(SocketError) -> Int? in
                throw SocketError(.connect, .timedOut)
            }
        }
        return told
    }

    @Test func itIsTheOneAfterWhichNothingIsTriedAgain() async throws {
        #expect(try await told(retries: "0", isWanted: []) == [false, true])
        #expect(try await told(retries: "1", isWanted: [true, true]) == [false, false, false, true])
    }

    @Test func itIsAlsoTheOneAfterWhichNobodyWantsATarget() async throws {
        #expect(try await told(retries: "forever", isWanted: [false]) == [false, true])
    }
}
