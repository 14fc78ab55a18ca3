import Loops
import SocketCore
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
            let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
            let place = SessionTable.Place(
                socket: socket, outbox: Outbox(), held: HeldBytes(limit: .max), queue: 4)
            let session = DatagramSession(try socket.localAddress, place, at: 0)
            let first = Task(executorPreference: loop) { try await session.receive() }
            let second = Task(executorPreference: loop) { try await session.receive() }
            await Task(executorPreference: loop) {
                session.put(DatagramSession.Message(bytes: [1], passage: .usual))
                first.cancel()
            }.value
            await #expect(throws: SocketError.self, "the first was not cancelled") { try await first.value }
            let taken = try await within(patience, "the second's datagram") { try await second.value }
            #expect(taken == [1])
            session.finish()
            #expect(try await session.receive() == nil)
            socket.close()
            group.close()
        }
    }
}
