import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Who closes what, and when.
@Suite(.inTurn) struct OwnershipTests {
    @Test(arguments: Kind.allCases)
    func aConnectionThatIsLetGoIsClosed(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            func leave() async throws -> Connection {
                let client = try await Connection(to: listener.endpoint)
                let server = try await listener.accept()
                try await server.send([1])
                // Once registered with a loop and once not: the loop must not keep it.
                _ = try await client.receive(upTo: 1)
                client.receiveDeadline = .after(.milliseconds(20))
                _ = try await cause { try await client.receive(upTo: 1) }
                return server
            }
            let server = try await leave()
            #expect(try await server.receive(upTo: 9) == nil)
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aWaitKeepsItsConnectionAlive(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let client = try await Connection(to: listener.endpoint)
            let receive = Task { [listener] in try await listener.accept().receive(upTo: 9, by: face) }
            try await ledger.sees(.receive)
            try await client.send([1])
            #expect(try await receive.value == [1])
            client.close()
            listener.close()
        }
    }

    /// A close pulls the descriptor from under nobody: its number might be another socket's at once.
    @Test(arguments: Kind.allCases)
    func aDescriptorStaysOpenWhileSomebodyUsesIt(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let number = try server.withDescriptor { fd in
                server.close()
                #expect(isOpen(fd))
                // In use and closed: nothing new may begin.
                #expect(throws: SocketError.self) { try server.withDescriptor { _ in } }
                return fd
            }
            #expect(!ledger.open.contains(number))
            #expect(try await client.receive(upTo: 9) == nil)
        }
    }

    @Test func whatABodyThrowsIsPassedOn() async throws {
        struct Odd: Error {}
        try await trial(over: .unix) { ledger, client, server, listener in
            #expect(throws: Odd.self) { try server.withDescriptor { _ in throw Odd() } }
            try await client.send([1])
            #expect(try await server.receive(upTo: 1) == [1])
        }
    }

    /// A duplicate keeps the socket alive in the kernel; the loop must hear nothing of it any more.
    @Test(arguments: Kind.allCases)
    func aSocketWhoseDuplicateLivesOnIsOutOfTheLoop(_ kind: Kind) async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept()
            let receive = Task(executorPreference: group.loops[0]) { try await server.receive(upTo: 9) }
            try await ledger.sees(.receive)
            try await client.send([1])
            #expect(try await receive.value == [1])
            let copy = try server.withDescriptor { dup($0) }
            server.close()
            let calls = ledger.count(of: .epollWait)
            for _ in 0..<50 { try client.rawSend([2]) }
            // A loop turn on purpose, to see that there were few others.
            try await Task(executorPreference: group.loops[0]) { try await EventLoop.sleep(for: .milliseconds(20)) }
                .value
            #expect(ledger.count(of: .epollWait) < calls + 15)
            close(copy)
            client.close()
            listener.close()
            group.close()
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func finishSendingCutsASendThatWaits(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let filled = try client.fill(with: server)
            let send = Task { try await cause { try await client.send(pattern(1 << 22), by: face) } }
            try await ledger.sees(.send)
            try client.finishSending()
            let ended = try await within(patience, "the send's end") { try await send.value }
            #expect(ended == .system(.brokenPipe))
            #expect(try await server.receiveAll(by: face).count >= filled)
        }
    }

    /// The body returns with the client's bytes unread; a plain close would reset, and destroy the answer.
    @Test(arguments: Kind.allCases)
    func aBodysLastWordsArriveThoughItReadNothing(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve { client in try await client.send("too many") } }
            for _ in 0..<20 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send(pattern(50_000))
                #expect(try await client.receiveAll() == Array("too many".utf8))
                client.close()
            }
            listener.close()
            try await serving.value
        }
    }

    @Test func aListenerOutlivesItsClientsAndClientsTheirListener() async throws {
        try await trial { ledger in
            var listener: Listener? = try Listener(on: "127.0.0.1:0")
            let endpoint = try #require(listener?.endpoint)
            let client = try await Connection(to: endpoint)
            let server = try #require(try await listener?.accept())
            listener?.close()
            listener = nil
            try await client.send([1])
            #expect(try await server.receive(upTo: 9) == [1])
            client.close()
            server.close()
        }
    }
}
