import Sockets
import SystemPackage
import TestSupport
import Testing

/// A cancelled task does not go on waiting, whatever it waits for.
@Suite(.inTurn) struct CancellationTests {
    @Test(arguments: Kind.allCases)
    func aCancelledReceiveFailsAndTheConnectionLivesOn(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let receive = Task { try await cause { try await server.receive(upTo: 9) } }
            try await ledger.sees(.receive)
            receive.cancel()
            #expect(try await receive.value == .cancelled)
            try await client.send([1])
            #expect(try await server.receive(upTo: 9) == [1])
        }
    }

    @Test(arguments: Kind.allCases)
    func whatACancelledExactReceiveHadGotIsTheNextOnes(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2, 3])
            let receive = Task { try await cause { try await server.receive(exactly: 5) } }
            // Three bytes, and then none.
            try await ledger.sees(.receive, 2)
            receive.cancel()
            #expect(try await receive.value == .cancelled)
            try await client.send([4, 5])
            #expect(try await server.receive(exactly: 5) == [1, 2, 3, 4, 5])
        }
    }

    @Test(arguments: Kind.allCases)
    func aCancelledSendFails(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.fill(with: server)
            let send = Task { try await cause { try await client.send(pattern(1 << 22)) } }
            try await ledger.sees(.send)
            send.cancel()
            #expect(try await send.value == .cancelled)
        }
    }

    @Test(arguments: Kind.allCases)
    func aCancelledAcceptFailsAndTheListenerLivesOn(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let accepts = ledger.count(of: .accept)
            let accept = Task { try await cause { try await listener.accept() } }
            try await ledger.sees(.accept, accepts + 1)
            accept.cancel()
            #expect(try await accept.value == .cancelled)
            let next = try await Connection(to: listener.endpoint)
            #expect(try await listener.accept().origin == .accepted)
            next.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func aTaskThatIsCancelledAlreadyDoesNotBegin(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2])
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return [
                    try await cause { try await server.receive(upTo: 9) },
                    try await cause { try await server.send([1]) },
                    try await cause { try await listener.accept() },
                    try await cause { try await Connection(to: listener.endpoint) },
                ]
            }
            for ended in try await task.value { #expect(ended == .cancelled) }
            #expect(try await server.receive(upTo: 9) == [1, 2])
        }
    }

    @Test(arguments: Kind.allCases)
    func aCancelledReceiveLeavesTheQueueAndTheOthersStay(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let first = Task { try await server.receive(exactly: 1) }
            try await ledger.sees(.receive)
            let second = Task { try await cause { try await server.receive(exactly: 1) } }
            second.cancel()
            #expect(try await second.value == .cancelled)
            try await client.send([1, 2])
            #expect(try await first.value == [1])
            #expect(try await server.receive(exactly: 1) == [2])
        }
    }

    /// An address that never answers: this machine's own queue of one, full.
    @Test func aCancelledConnectFailsAndLeavesNothingOpen() async throws {
        try await trial { ledger in
            let listener = try Listener.withRoomForOne(on: Kind.unix.endpoint)
            let queued = try await Connection(to: listener.endpoint)
            let connects = ledger.count(of: .connect)
            let connect = Task { try await cause { try await Connection(to: listener.endpoint) } }
            try await ledger.sees(.connect, connects + 2)
            connect.cancel()
            #expect(try await connect.value == .cancelled)
            queued.close()
            listener.close()
        }
    }

    @Test func aCancelledConnectOverTCPFailsAndLeavesNothingOpen() async throws {
        try await trial { ledger in
            let (listener, queued) = try await fullListener()
            let connects = ledger.count(of: .connect)
            let connect = Task { try await cause { try await Connection(to: listener.endpoint) } }
            try await ledger.sees(.connect, connects + 1)
            connect.cancel()
            #expect(try await connect.value == .cancelled)
            for connection in queued { connection.close() }
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aConnectTimesOutWhereNobodyAnswers(_ face: Face) async throws {
        try await trial { ledger in
            let (listener, queued) = try await fullListener()
            let start = ContinuousClock.now
            let ended = try await cause {
                try await Connection.connect(
                    to: "\(listener.endpoint)", timeout: .milliseconds(100), by: face)
            }
            #expect(ended == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(100))
            for connection in queued { connection.close() }
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aConnectTimesOutAtAUnixQueueThatStaysFull(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener.withRoomForOne(on: Kind.unix.endpoint)
            let queued = try await Connection(to: listener.endpoint)
            let start = ContinuousClock.now
            let ended = try await cause {
                try await Connection.connect(
                    to: "\(listener.endpoint)", timeout: .milliseconds(100), by: face)
            }
            #expect(ended == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(100))
            queued.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aConnectGoesOnWhenAFullUnixQueueHasRoomAgain(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener.withRoomForOne(on: Kind.unix.endpoint)
            let queued = try await Connection(to: listener.endpoint)
            let connects = ledger.count(of: .connect)
            async let connected = Connection.connect(to: "\(listener.endpoint)", by: face)
            try await ledger.sees(.connect, connects + 2)
            let first = try await listener.accept()
            let second = try await connected
            let peer = try await listener.accept()
            try await second.send([9])
            #expect(try await peer.receive(upTo: 1) == [9])
            queued.close()
            first.close()
            listener.close()
        }
    }

    @Test func aCancelledWaitForANameFails() async throws {
        try await trial { _ in
            let connect = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await cause { try await Connection(to: "localhost:9") }
            }
            let ended = try await connect.value
            #expect(ended == .cancelled)
        }
    }

    /// A listener whose queue is full, so that a connect to it gets no answer; and the connections that fill it.
    private func fullListener() async throws -> (Listener, [Connection]) {
        let listener = try Listener.withRoomForOne(on: "127.0.0.1:0")
        var queued: [Connection] = []
        // One connect may be slow on a busy machine; the queue is full when two in a row find it so.
        var refusals = 0
        while queued.count < 10, refusals < 2 {
            do {
                queued.append(try await Connection(to: listener.endpoint, timeout: .milliseconds(200)))
                refusals = 0
            } catch {
                refusals += 1
            }
        }
        return (listener, queued)
    }
}
