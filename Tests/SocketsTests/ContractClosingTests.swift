import Sockets
import SystemPackage
import TestSupport
import Testing

/// How connections end: over each kind of transport, by both faces.
@Suite(.inTurn) struct ContractClosingTests {
    @Test(arguments: Kind.allCases, Face.allCases)
    func closeEndsAReceiveUnderWayAndThoseThatQueue(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await withThrowingTaskGroup(of: SocketError.Cause?.self) { group in
                for _ in 0..<4 { group.addTask { try await cause { try await server.receive(upTo: 9, by: face) } } }
                try await ledger.sees(.receive)
                server.close()
                for try await ended in group { #expect(ended == .closed) }
            }
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .closed)
            #expect(try await cause { try await server.send([1], by: face) } == .closed)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func closeEndsASendUnderWayAndThoseThatQueue(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            _ = try client.fill(with: server)
            try await withThrowingTaskGroup(of: SocketError.Cause?.self) { group in
                let all = pattern(1 << 23)
                for _ in 0..<4 { group.addTask { try await cause { try await client.send(all, by: face) } } }
                try await ledger.sees(.send)
                client.close()
                for try await ended in group { #expect(ended == .closed) }
            }
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func closeEndsAnAcceptUnderWayAndThoseThatQueue(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            try await withThrowingTaskGroup(of: SocketError.Cause?.self) { group in
                for _ in 0..<4 { group.addTask { try await cause { try await listener.accept(by: face) } } }
                try await ledger.sees(.accept)
                listener.close()
                for try await ended in group { #expect(ended == .closed) }
            }
            #expect(try await cause { try await listener.accept(by: face) } == .closed)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func closingTwiceIsClosingOnce(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            for _ in 0..<3 {
                client.close()
                server.close()
                listener.close()
            }
            // Each descriptor once: a second close would hit whoever has the number by now.
            try await eventually { ledger.open.isEmpty }
            #expect(ledger.count(of: .close) == 3)
            #expect(try await cause { try client.localAddress } == .closed)
            #expect(try await cause { try client.finishSending() } == .closed)
            #expect(try await cause { try client.stopReceiving() } == .closed)
            #expect(throws: SocketError.self) { try client.withDescriptor { _ in } }
            #expect(client.socketDescription == nil)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func allMethodsMayBeCalledAtOnce(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let echo: Void = {
                while let message = try await server.receive(upTo: 100, by: face) {
                    try await server.send(message, by: face)
                }
            }()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask { for _ in 0..<50 { try await client.send([1], by: face) } }
                    group.addTask { for _ in 0..<50 { _ = try await client.receive(exactly: 1, by: face) } }
                    group.addTask {
                        for _ in 0..<200 {
                            client.receiveDeadline = .after(.seconds(100))
                            client.sendDeadline = .after(.seconds(100))
                            _ = try client.localAddress
                            _ = client.remoteAddress
                            _ = client.socketDescription
                            _ = try client.option(.sendBuffer)
                            client.idleTimeout = .seconds(100)
                            _ = listener.endpoint
                        }
                    }
                }
                try await group.waitForAll()
            }
            try client.finishSending()
            try await echo
        }
    }

    // MARK: - Half a close

    @Test(arguments: Kind.allCases, Face.allCases)
    func receiveGivesNilAfterThePeerHasFinishedAndSendingGoesOn(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2], by: face)
            try client.finishSending()
            #expect(try await server.receive(upTo: 9, by: face) == [1, 2])
            for _ in 0..<3 { #expect(try await server.receive(upTo: 9, by: face) == nil) }
            #expect(try await server.receive(exactly: 5, by: face) == nil)
            #expect(try await server.receiveLine(by: face) == nil)
            let answer = pattern(300_000)
            async let sending: Void = server.send(answer, by: face)
            #expect(try await client.receive(exactly: answer.count, by: face) == answer)
            try await sending
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func stopReceivingEndsAReceiveUnderWayAndSendingGoesOn(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let receive = server.receive(upTo: 9, by: face)
            try await ledger.sees(.receive)
            try server.stopReceiving()
            #expect(try await receive == nil)
            #expect(try await server.receive(upTo: 9, by: face) == nil)
            try server.stopReceiving()
            try await server.send([4], by: face)
            #expect(try await client.receive(upTo: 9, by: face) == [4])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func stopReceivingStillGivesWhatHasCome(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2, 3], by: face)
            try server.stopReceiving()
            #expect(try await server.receive(upTo: 9, by: face) == [1, 2, 3])
            #expect(try await server.receive(upTo: 9, by: face) == nil)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func bothMayFinishAtOnceAndMoreThanOnce(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for end in [client, server] {
                    for _ in 0..<3 { group.addTask { try end.finishSending() } }
                }
                try await group.waitForAll()
            }
            #expect(try await client.receive(upTo: 9, by: face) == nil)
            #expect(try await server.receive(upTo: 9, by: face) == nil)
            // Both directions are over: there is nothing left to end, which is no error.
            try client.finishSending()
            try server.finishSending()
            try server.stopReceiving()
        }
    }

    /// This process lives on: SIGPIPE would end it.
    @Test(arguments: Kind.allCases, Face.allCases)
    func sendAfterFinishingIsAnError(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.finishSending()
            #expect(try await cause { try await client.send([1], by: face) } == .system(.brokenPipe))
            try await server.send([1], by: face)
            #expect(try await client.receive(upTo: 9, by: face) == [1])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func sendingToAPeerThatHasClosedIsAnErrorInTheEnd(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            server.close()
            var failure: SocketError?
            do {
                while true { try await client.send(pattern(1000), by: face) }
            } catch let error as SocketError {
                failure = error
            }
            #expect(failure?.isReset == true)
            #expect(failure?.operation == .send)
        }
    }
}
