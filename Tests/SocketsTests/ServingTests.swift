import Sockets
import SystemPackage
import TestSupport
import Testing

/// `serve`: every client at once, and how it ends.
@Suite(.inTurn) struct ServingTests {
    @Test(arguments: Kind.allCases)
    func everyClientIsServedThoughOthersSayNothing(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve(echo) }
            var silent: [Connection] = []
            for _ in 0..<100 { silent.append(try await Connection(to: listener.endpoint)) }
            for round in 0..<20 as Range<UInt8> {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([round])
                #expect(try await client.receive(upTo: 9) == [round])
                client.close()
            }
            for client in silent { client.close() }
            listener.close()
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func closingTheListenerLetsTheClientsFinish(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve(echo) }
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await client.receive(upTo: 9) == [1])
            let descriptor = try #require(listener.socketDescription?.descriptor)
            listener.close()
            try await eventually { !ledger.open.contains(descriptor) }
            for byte in 2..<50 as Range<UInt8> {
                try await client.send([byte])
                #expect(try await client.receive(upTo: 9) == [byte])
            }
            try client.finishSending()
            #expect(try await client.receive(upTo: 9) == nil)
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func cancellingServeEndsTheClientsAndReturns(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let causes = Notes<SocketError.Cause?>()
            let serving = Task {
                try await listener.serve { client in
                    do {
                        try await echo(client)
                    } catch let error as SocketError {
                        causes.add(error.cause)
                        throw error
                    }
                }
            }
            var clients: [Connection] = []
            for _ in 0..<30 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([1])
                #expect(try await client.receive(upTo: 9) == [1])
                clients.append(client)
            }
            serving.cancel()
            try await serving.value
            #expect(causes.all == Array(repeating: .cancelled, count: 30))
            for client in clients { #expect(try await client.receive(upTo: 9) == nil) }
            // The listener is its owner's to close.
            let late = try await Connection(to: listener.endpoint)
            late.close()
        }
    }

    /// A body may wait for other things than its own client; they end too.
    @Test func cancellingServeEndsABodyThatWaitsForAnotherConnection() async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let (other, silent) = try Connection.pair()
            let seen = Notes<SocketError.Cause?>()
            let serving = Task {
                try await listener.serve { client in
                    try await client.send([1])
                    let ended = try await cause { try await other.receive(upTo: 9) }
                    seen.add(ended)
                }
            }
            let client = try await Connection(to: listener.endpoint)
            #expect(try await client.receive(upTo: 9) == [1])
            serving.cancel()
            try await serving.value
            #expect(seen.all == [.cancelled])
            silent.close()
            client.close()
        }
    }

    @Test func cancellingServeEndsASendAndTheQueueForATurn() async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let causes = Notes<SocketError.Cause?>()
            let serving = Task {
                try await listener.serve { client in
                    await withTaskGroup(of: Void.self) { group in
                        for _ in 0..<3 {
                            group.addTask {
                                let ended = try? await cause { try await client.send(pattern(1 << 24)) }
                                causes.add(ended)
                            }
                        }
                    }
                }
            }
            let client = try await Connection(to: listener.endpoint)
            _ = try await client.receive(exactly: 1000)
            serving.cancel()
            try await serving.value
            // The one under way is cut; the others find that, or that they are cancelled.
            let sent = causes.all.compactMap { if case .messageCut(let sent)? = $0 { sent } else { nil } }
            #expect(causes.all.count == 3 && causes.all.contains(.cancelled))
            #expect(causes.all.allSatisfy { if case .messageCut? = $0 { true } else { $0 == .cancelled } })
            #expect(sent.allSatisfy { $0 > 0 })
            client.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func cancelAllOfAGroupInsideABodyEndsItsWaits(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task {
                try await listener.serve { client in
                    let ended = await withTaskGroup(of: SocketError.Cause?.self) { group in
                        group.addTask { (try? await cause { try await client.receive(upTo: 9) }) ?? nil }
                        group.addTask { (try? await cause { try await client.receive(upTo: 9) }) ?? nil }
                        try? await ledger.sees(.receive)
                        group.cancelAll()
                        return await group.reduce(into: []) { $0.append($1) }
                    }
                    // The client's own task is not cancelled, and its connection is whole.
                    try await client.send(ended == [.cancelled, .cancelled] ? [1] : [0])
                    while let more = try await client.receive(upTo: 9) { try await client.send(more) }
                }
            }
            let client = try await Connection(to: listener.endpoint)
            // By poll, so that the ledger counts the server's receives alone.
            #expect(try await onThread { try client.withDescriptor { readByte($0) } } == 1)
            try await client.send([5])
            #expect(try await client.receive(upTo: 9) == [5])
            client.close()
            listener.close()
            try await serving.value
        }
    }

    @Test func anErrorEndsItsClientAloneAndReachesTheHandler() async throws {
        struct Odd: Error, Equatable { let byte: UInt8 }
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let told = Notes<Odd>()
            let serving = Task {
                try await listener.serve(onError: { client, error in
                    #expect(client.origin == .accepted)
                    if let odd = error as? Odd { told.add(odd) }
                }) { client in
                    while let message = try await client.receive(upTo: 1) {
                        if message[0] % 2 == 1 { throw Odd(byte: message[0]) }
                        try await client.send(message)
                    }
                }
            }
            let good = try await Connection(to: listener.endpoint)
            let bad = try await Connection(to: listener.endpoint)
            try await bad.send([7])
            #expect(try await bad.receive(upTo: 9) == nil)
            try await good.send([2])
            #expect(try await good.receive(upTo: 9) == [2])
            #expect(told.all == [Odd(byte: 7)])
            good.close()
            listener.close()
            try await serving.value
        }
    }

    @Test func anErrorWithoutAHandlerGoesToTheTrace() async throws {
        struct Trouble: Error, CustomStringConvertible { let description = "a bad day" }
        try await trial { _ in
            let lines = Notes<String>()
            let listener = try Listener(on: "127.0.0.1:0", trace: .lines { line in lines.add(line) })
            let serving = Task { try await listener.serve { _ in throw Trouble() } }
            let client = try await Connection(to: listener.endpoint)
            #expect(try await client.receive(upTo: 9) == nil)
            listener.close()
            try await serving.value
            let local = try client.localAddress
            #expect(lines.all.contains("\(local): a bad day"))
        }
    }
}

@Sendable func echo(_ client: Connection) async throws {
    while let message = try await client.receive(upTo: 1024) { try await client.send(message) }
}
