import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// Clients that went away while they queued, and shortages while accepting.
@Suite(.inTurn) struct AcceptingFaultTests {
    @Test(arguments: [Errno.connectionAbort, .protocolError, .hostIsDown, .networkDown, .noRouteToHost], Face.allCases)
    func aClientThatWentAwayWhileItQueuedIsPassedOver(_ errno: Errno, _ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            ledger.make(.accept, .fail(errno), times: 3)
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept(by: face)
            try await client.send([1])
            #expect(try await server.receive(upTo: 9) == [1])
            listener.close()
        }
    }

    @Test(arguments: [Errno.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory])
    func serveSurvivesAShortageWithoutSpinning(_ errno: Errno) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task { try await listener.serve(echo) }
            let early = try await Connection(to: listener.endpoint)
            try await early.send([1])
            #expect(try await early.receive(upTo: 9) == [1])
            let calls = ledger.count(of: .accept)
            ledger.make(.accept, .fail(errno), times: .max)
            let start = ContinuousClock.now
            let late = try await Connection(to: listener.endpoint)
            try await late.send([2])
            try await ledger.sees(.accept, calls + 6)
            // Four pauses at least, each twice the one before: 5, 10, 20, 40 ms.
            #expect(ContinuousClock.now - start >= .milliseconds(75))
            // Who is served goes on being served.
            try await early.send([3])
            #expect(try await early.receive(upTo: 9) == [3])
            // The pauses grow to half a second; a loop that spins makes thousands of calls in one of them.
            let halfSeconds = Int((ContinuousClock.now - start) / .milliseconds(500))
            #expect(ledger.count(of: .accept) <= calls + 12 + halfSeconds)
            ledger.letAllPass()
            #expect(try await late.receive(upTo: 9) == [2])
            early.close()
            late.close()
            listener.close()
            try await serving.value
        }
    }

    @Test func closingTheListenerEndsServeDuringAShortage() async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            ledger.make(.accept, .fail(.tooManyOpenFiles), times: .max)
            let serving = Task { try await listener.serve(echo) }
            try await ledger.sees(.accept, 3)
            listener.close()
            try await serving.value
        }
    }

    @Test func cancellingEndsServeDuringAShortage() async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            ledger.make(.accept, .fail(.tooManyOpenFiles), times: .max)
            let serving = Task { try await listener.serve(echo) }
            try await ledger.sees(.accept, 3)
            serving.cancel()
            try await serving.value
            listener.close()
        }
    }
}
