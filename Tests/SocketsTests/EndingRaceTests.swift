import Sockets
import TestSupport
import Testing

/// Closing while another task or thread receives: what one writes and the other reads must be atomic. The thread sanitizer
/// is what finds a fault here.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct EndingRaceTests {
    @Test func aTaskMayFinishAndCloseWhileAnotherReceivesTheEnd() async throws {
        try await within {
            for _ in 0..<300 {
                let (ours, theirs) = try Connection.pair()
                async let received = received(by: ours)
                async let closing: Void = ours.finishAndClose(within: patience)
                try theirs.finishSending()
                // Either receives the end, or finds it closed by the other.
                _ = await (received, closing)
                #expect(ours.isClosed)
                theirs.close()
            }
        }
    }

    @Test func aThreadMayFinishAndCloseWhileAnotherReceivesTheEnd() async throws {
        for _ in 0..<100 {
            let (ours, theirs) = try Connection.pair()
            async let received: Int = onThread { (try? ours.receive(upTo: 10))??.count ?? 0 }
            async let closing: Void = onThread { ours.finishAndClose(within: patience) }
            try theirs.finishSending()
            let count = try await received
            try await closing
            #expect(ours.isClosed && count == 0)
            theirs.close()
        }
    }
}

/// How many bytes come until the end.
@concurrent private func received(by connection: Connection) async -> Int {
    var count = 0
    while let message = (try? await connection.receive(upTo: 10)) ?? nil { count += message.count }
    return count
}
