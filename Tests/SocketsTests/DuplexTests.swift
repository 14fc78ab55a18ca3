import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The rule of who may speak when, and the halves.
@Suite(.inTurn) struct DuplexTests {
    @Test(arguments: Face.allCases)
    func toReceiveOnASendingConnectionIsAnError(_ face: Face) async throws {
        try await trial { _ in
            let (sender, receiver) = try pair(.send, .receive)
            try await sender.send([1], by: face)
            #expect(try await receiver.receive(upTo: 9, by: face) == [1])
            #expect(isMisuse(try await cause { try await sender.receive(upTo: 9, by: face) }))
            #expect(isMisuse(try await cause { try await sender.receive(exactly: 9, by: face) }))
            #expect(isMisuse(try await cause { try await sender.receiveLine(by: face) }))
            #expect(isMisuse(try await cause { try await receiver.send([1], by: face) }))
            sender.close()
            receiver.close()
        }
    }

    /// A walkie-talkie: who listens is not interrupted by his own voice.
    @Test(arguments: Kind.allCases, Face.allCases)
    func inHalfDuplexASendWaitsForAReceiveUnderWay(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind, duplex: .half) { ledger, client, server, listener in
            async let receive = server.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            let send = Task { try await server.send([2], by: face) }
            // Nothing comes of it while the receive is under way.
            try await onThread {
                client.receiveDeadline = .after(.milliseconds(100))
                #expect(throws: SocketError.self) { try client.receive(upTo: 9) }
            }
            client.receiveDeadline = .never
            #expect(ledger.count(of: .send) == 0)
            try await client.send([1], by: face)
            #expect(try await receive == [1])
            try await send.value
            #expect(try await client.receive(upTo: 9, by: face) == [2])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func inHalfDuplexAReceiveWaitsForASendUnderWay(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind, duplex: .half) { ledger, client, server, listener in
            let filled = try client.fill(with: server)
            let bytes = pattern(300_000)
            let send = Task { try await client.send(bytes, by: face) }
            try await ledger.sees(.send)
            try server.rawSend([7])
            let receive = Task { try await client.receive(upTo: 9, by: face) }
            client.idleTimeout = nil
            let receives = ledger.count(of: .receive)
            #expect(try await server.receive(exactly: filled, by: face)?.count == filled)
            #expect(try await server.receive(exactly: bytes.count, by: face) == bytes)
            try await send.value
            #expect(try await receive.value == [7])
            #expect(ledger.count(of: .receive) > receives)
        }
    }

    @Test(arguments: Face.allCases)
    func inHalfDuplexAWaitForTheTurnKeepsItsOwnDeadline(_ face: Face) async throws {
        try await trial(over: .tcp4, duplex: .half) { ledger, client, server, listener in
            async let receive = server.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            let start = ContinuousClock.now
            server.sendDeadline = .after(.milliseconds(60))
            let ended = try await within(patience, "the send's timeout") {
                try await cause { try await server.send([2], by: face) }
            }
            #expect(ended == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(60))
            try await client.send([1], by: face)
            #expect(try await receive == [1])
        }
    }

    @Test(arguments: Face.allCases)
    func inHalfDuplexADeadlineMovedWhileWaitingForTheTurnIsKept(_ face: Face) async throws {
        try await trial(over: .tcp4, duplex: .half) { ledger, client, server, listener in
            async let receive = server.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            let send = Task { try await cause { try await server.send([2], by: face) } }
            server.sendDeadline = .now
            let ended = try await within(patience, "the send's timeout") { try await send.value }
            #expect(ended == .timedOut)
            try await client.send([1], by: face)
            #expect(try await receive == [1])
        }
    }

    @Test(arguments: Face.allCases)
    func inHalfDuplexCloseEndsTheWaitForTheTurn(_ face: Face) async throws {
        try await trial(over: .tcp4, duplex: .half) { ledger, client, server, listener in
            async let receive = cause { try await server.receive(upTo: 9, by: face) }
            try await ledger.sees(.receive)
            async let send = cause { try await server.send([2], by: face) }
            server.close()
            #expect(try await receive == .closed)
            #expect(try await send == .closed)
        }
    }

    @Test(arguments: Duplex.allCases)
    func theRuleComesFromTheEndpointOrTheCaller(_ duplex: Duplex) async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0?duplex=\(duplex.rawValue)")
            let client = try await Connection(to: "\(listener.endpoint)?duplex=\(duplex.rawValue)")
            let other = try await Connection(to: "\(listener.endpoint)?duplex=send", duplex: duplex)
            let server = try await listener.accept()
            #expect(client.duplex == duplex && other.duplex == duplex && server.duplex == duplex)
            let odd = try await cause { try Listener(on: "127.0.0.1:0?duplex=both") }
            #expect(odd.map { "\($0)" }?.contains("half") == true)
            for connection in [client, other, server] { connection.close() }
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func halvesServeTwoTasks(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let (receiving, sending) = client.halves
            let bytes = pattern(300_000)
            async let echoing: Void = {
                try await echo(server)
                try server.finishSending()
            }()
            async let sent: Void = {
                try await sending.send(bytes)
                try await onThread { try sending.send("thread") }
                try await sending.send("task")
                try sending.finish()
            }()
            var got: [UInt8] = []
            while let more = try await receiving.receive(upTo: 1 << 16) {
                got += more
                guard let next = try await onThread({ try receiving.receive(upTo: 1 << 16) }) else { break }
                got += next
            }
            #expect(got == bytes + Array("threadtask".utf8))
            try receiving.stop()
            _ = try await (sent, echoing)
        }
    }

    private func isMisuse(_ cause: SocketError.Cause?) -> Bool {
        if case .misuse = cause { true } else { false }
    }

    /// Two ends that differ in their rule.
    private func pair(_ one: Duplex, _ other: Duplex) throws -> (Connection, Connection) {
        let (first, second) = try Connection.pair(duplex: one)
        let copy = try second.withDescriptor { dup($0) }
        second.close()
        return (first, try Connection(adopting: copy, duplex: other))
    }
}
