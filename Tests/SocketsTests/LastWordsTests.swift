import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What is said last, and what it must not be taken for.
@Suite(.inTurn) struct LastWordsTests {
    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aResetThatASendHasMetIsNoEndForAReceive(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            async let sending = cause { try await client.send(pattern(1 << 24), by: face) }
            // It waits: the other end reads nothing, and then resets.
            try await ledger.sees(.send, 2)
            try server.reset()
            #expect(try await sending == .system(.connectionReset))
            #expect(try await cause { try await client.receive(upTo: 9, by: face) } == .system(.connectionReset))
        }
    }

    @Test(arguments: Kind.allCases)
    func aServerForSendingOnlyIsHeardToItsEndThoughItsClientSpoke(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint, duplex: .send)
            let words = pattern(2_000_000)
            let serving = Task { try await listener.serve { try await $0.send(words) } }
            let client = try await Connection(to: listener.endpoint)
            try await client.send("a question that nobody reads\n")
            #expect(try await client.receiveAll() == words)
            client.close()
            listener.close()
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func cancellingServeAfterItsListenerWasClosedEndsTheClientsToo(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve(echo) }
            let silent = try await Connection(to: listener.endpoint)
            try await silent.send([1])
            #expect(try await silent.receive(upTo: 9) == [1])
            listener.close()
            // The accept loop has left when nobody can connect any more; nothing else tells of it.
            try await eventually { listener.socketDescription == nil }
            serving.cancel()
            try await serving.value
            #expect(try await silent.receive(upTo: 9) == nil)
            silent.close()
        }
    }

    @Test func aDeadlineSetAsAWaitBeginsIsNeverMissed() async throws {
        let (one, other) = try Connection.pair()
        defer {
            one.close()
            other.close()
        }
        for _ in 0..<3000 {
            one.receiveDeadline = .never
            let receiving = Task { try await cause { try await one.receive(upTo: 1) } }
            one.receiveDeadline = .now
            #expect(try await within { try await receiving.value } == .timedOut)
        }
    }

    @Test func clientsOfAnAdoptedListenerSendSmallMessagesAtOnce() async throws {
        // Unbound, it gets a free port when it listens.
        let made = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #expect(Glibc.listen(made, 5) == 0)
        let listener = try Listener(adopting: made)
        let port = try #require(listener.address.port)
        let client = try await Connection(to: Endpoint(.ipv4(.loopback, port: port)))
        let server = try await listener.accept()
        #expect(try server.option(.noDelay))
        client.close()
        server.close()
        listener.close()
    }
}
