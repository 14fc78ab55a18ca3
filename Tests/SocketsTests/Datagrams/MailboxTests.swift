import Loops
import TestSupport
import Testing

@testable import Sockets

/// The queue of one session, with several tasks that wait for it.
@Suite(.inTurn) struct MailboxTests {
    /// The loop runs its jobs in turn: the first task is woken and cancelled before it runs.
    @Test func whatACancelledTaskWasWokenForGoesToTheNext() async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let loop = group.loops[0]
            let box = Mailbox<Int>(capacity: 4)
            let first = Task(executorPreference: loop) { await box.take(isWatched: false) }
            let second = Task(executorPreference: loop) { await box.take(isWatched: false) }
            await Task(executorPreference: loop) {
                #expect(box.put(1))
                first.cancel()
            }.value
            if case .cancelled = await first.value {} else { Issue.record("the first was not cancelled") }
            let taken = try await within(.seconds(10), "the second's element") { await second.value }
            if case .element(1) = taken {} else { Issue.record("the second got \(taken)") }
            box.finish()
            group.close()
        }
    }
}
