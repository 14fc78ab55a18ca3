import Sockets
import SystemPackage
import TestSupport
import Testing

/// Resets, and the closes that must not become one: over each kind of transport, by both faces.
@Suite(.inTurn) struct ContractResetTests {
    @Test(arguments: Kind.allCases, Face.allCases)
    func aResetIsAnErrorBehindTheBytesThatCameBeforeIt(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            if kind == .unix {
                // A Unix socket resets when it closes on bytes that it has not read.
                try await server.send([0])
                try client.rawSend([1, 2, 3])
                client.close()
            } else {
                try client.rawSend([1, 2, 3])
                try client.reset()
            }
            #expect(try await server.receive(upTo: 9, by: face) == [1, 2, 3])
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .system(.connectionReset))
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aResetEndsAReceiveUnderWay(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let receive = cause { try await server.receive(upTo: 9, by: face) }
            try await ledger.sees(.receive)
            try client.reset()
            #expect(try await receive == .system(.connectionReset))
            server.close()
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aResetEndsASendUnderWay(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            async let send: SocketError? = {
                do {
                    try await client.send(pattern(4 << 20), by: face)
                    return nil
                } catch let error as SocketError { return error }
            }()
            try await ledger.sees(.send)
            try server.reset()
            #expect(try await send?.isReset == true)
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aClientThatResetWhileItQueuedIsAcceptedAndReadsAsReset(_ kind: Kind, _ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            try await Connection(to: listener.endpoint).reset()
            let server = try await listener.accept(by: face)
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .system(.connectionReset))
            let next = try await Connection(to: listener.endpoint)
            try await next.send([1])
            #expect(try await listener.accept(by: face).receive(upTo: 9) == [1])
        }
    }

    /// B9: bytes that nobody has received turn a plain close into a reset, which destroys the last words.
    @Test(arguments: Kind.allCases, Face.allCases)
    func lastWordsArriveThoughThePeerWasStillSending(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send(pattern(200_000), by: face)
            try await server.send(Array("too much".utf8), by: face)
            async let closing: Void = {
                switch face {
                case .task: await server.finishAndClose(within: patience)
                case .thread: try await onThread { server.finishAndClose(within: patience) }
                }
            }()
            #expect(try await client.receiveAll(by: face) == Array("too much".utf8))
            try client.finishSending()
            try await closing
            #expect(server.socketDescription == nil)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func finishAndCloseWaitsNoLongerThanItsLimit(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let start = ContinuousClock.now
            switch face {
            case .task: await server.finishAndClose(within: .milliseconds(60))
            case .thread: try await onThread { server.finishAndClose(within: .milliseconds(60)) }
            }
            #expect(ContinuousClock.now - start >= .milliseconds(60))
            #expect(try await client.receive(upTo: 9) == nil)
        }
    }
}
