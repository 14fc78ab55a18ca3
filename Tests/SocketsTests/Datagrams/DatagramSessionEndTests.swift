import SocketCore
import Sockets
import TestSupport
import Testing

/// What is left of a datagram session that is over, and what its waits end with.
@Suite(.inTurn) struct DatagramSessionEndTests {
    private struct Past: Sendable {
        nonisolated(unsafe) weak var session: DatagramSession?
    }

    /// One that goes on is the oldest of all: those behind it must not wait for its end to be forgotten.
    @Test func sessionsThatAreOverAreLetGoOfWhileAnOlderOneGoesOn() async throws {
        try await trial(over: .udp4) { _, client, server in
            let past = Notes<Past>()
            let serving = Task {
                try await server.serve(idleTimeout: nil) { session in
                    guard let message = try await session.receive() else { return }
                    try await session.send(message)
                    if message == [0] { _ = try await session.receive() }
                    past.add(Past(session: session))
                }
            }
            let old = try await DatagramSocket(to: server.endpoint)
            try await old.ask([0]) { $0 == [0] }
            for _ in 0..<1000 { try await client.ask([1]) { $0 == [1] } }
            #expect(past.all.count >= 999)
            #expect(past.all.count { $0.session != nil } < 200)
            server.stopReceiving()
            try await serving.value
            old.close()
        }
    }

    /// Who is asked may do what he likes with the socket.
    @Test func whoIsAskedWhomToAdmitMayEndTheServer() async throws {
        try await trial(over: .udp4) { _, client, server in
            let serving = Task {
                try await server.serve(
                    admits: { _ in
                        server.stopReceiving()
                        return false
                    }, echoDatagrams)
            }
            try await client.send([1])
            try await serving.value
        }
    }
}
