@testable import Loops
import Sockets
import TestSupport
import Testing

/// Serving without what is assumed of the runtime's data: slower, and otherwise the same.
@Suite(.inTurn, .serialized, .timeLimit(.minutes(10))) struct LayoutFallbackTests {
    @Test(arguments: [true, false], [true, false])
    func clientsAreServedAndCancelled(isTrusted: Bool, byMessages: Bool) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 2)
            RuntimeLayout.setTrusted(isTrusted)
            defer { RuntimeLayout.setTrusted(true) }
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task {
                if byMessages {
                    try await listener.serveMessages(on: group) { client, message in try await client.send(message) }
                } else {
                    try await listener.serve(on: group) { client in
                        while let message = try await client.receive(upTo: 64) { try await client.send(message) }
                    }
                }
            }
            // So many that their tasks' frames are fetched ahead.
            var clients: [Connection] = []
            for _ in 0..<600 { clients.append(try await Connection(to: listener.endpoint)) }
            for round in 0..<5 as Range<UInt8> {
                for client in clients { try await client.send([round]) }
                for client in clients { #expect(try await client.receive(upTo: 9) == [round]) }
            }
            // All of them wait, and each wait must notice it.
            serving.cancel()
            try await within { _ = try? await serving.value }
            for client in clients {
                #expect(try await client.receive(upTo: 9) == nil)
                client.close()
            }
            listener.close()
            group.close()
        }
    }
}
