import Sockets
import SystemPackage
import TestSupport
import Testing

/// `serve`: every client at once, and how it ends.
@Suite struct ServingTests {
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
            #expect(causes.all == [.cancelled, .cancelled, .cancelled])
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

    @Test(arguments: Kind.allCases)
    func atTheLimitTheNextClientQueuesUntilOneLeaves(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let most = Counter()
            let now = Counter()
            let serving = Task {
                try await listener.serve(limit: 2) { client in
                    most.raise(to: now.add(1))
                    defer { now.add(-1) }
                    try await echo(client)
                }
            }
            var clients: [Connection] = []
            for _ in 0..<2 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([1])
                #expect(try await client.receive(upTo: 9) == [1])
                clients.append(client)
            }
            let third = try await Connection(to: listener.endpoint)
            try await third.send([3])
            third.receiveDeadline = .after(.milliseconds(100))
            #expect(try await cause { try await third.receive(upTo: 9) } == .timedOut)
            third.receiveDeadline = .never
            clients[0].close()
            #expect(try await third.receive(upTo: 9) == [3])
            #expect(most.value == 2)
            third.close()
            clients[1].close()
            // Many more, each after another has left.
            for _ in 0..<30 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([4])
                #expect(try await client.receive(upTo: 9) == [4])
                client.close()
            }
            #expect(most.value <= 2)
            listener.close()
            try await serving.value
        }
    }

    @Test func closingTheListenerAtTheLimitEndsServe() async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task { try await listener.serve(limit: 1, echo) }
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await client.receive(upTo: 9) == [1])
            listener.close()
            try client.finishSending()
            try await serving.value
        }
    }

    @Test func cancellingServeAtTheLimitEndsIt() async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task { try await listener.serve(limit: 1, echo) }
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await client.receive(upTo: 9) == [1])
            serving.cancel()
            try await serving.value
            #expect(try await client.receive(upTo: 9) == nil)
        }
    }

    @Test func serveSpreadsItsClientsEvenlyOverItsLoops() async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 3)
            let listener = try Listener(on: "127.0.0.1:0")
            let names = Notes<String>()
            let serving = Task {
                try await listener.serve(on: group) { client in
                    names.add(EventLoop.current?.name ?? "none")
                    try await echo(client)
                    // Where it waited, there it goes on.
                    #expect(EventLoop.current != nil)
                }
            }
            var clients: [Connection] = []
            for _ in 0..<30 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([1])
                #expect(try await client.receive(upTo: 9) == [1])
                clients.append(client)
            }
            let counts = Dictionary(grouping: names.all, by: { $0 }).mapValues(\.count)
            #expect(counts == Dictionary(uniqueKeysWithValues: group.loops.map { ($0.name, 10) }))
            for client in clients { client.close() }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    @Test func theIdleTimeoutEndsAClientThatSaysNothing() async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let told = Notes<SocketError.Cause>()
            let serving = Task {
                try await listener.serve(
                    idleTimeout: .milliseconds(100),
                    onError: { _, error in
                        if let error = error as? SocketError { told.add(error.cause) }
                    }, echo)
            }
            let client = try await Connection(to: listener.endpoint)
            let start = ContinuousClock.now
            #expect(try await client.receive(upTo: 9) == nil)
            #expect(ContinuousClock.now - start >= .milliseconds(90))
            #expect(told.all == [.timedOut])
            listener.close()
            try await serving.value
        }
    }

    @Test func aBlockingCallInABodyIsAnErrorAtOnce() async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let told = Notes<String>()
            let serving = Task {
                try await listener.serve(onError: { _, error in told.add("\(error)") }) { client in
                    try receiveBlocking(client)
                }
            }
            let client = try await Connection(to: listener.endpoint)
            #expect(try await client.receive(upTo: 9) == nil)
            #expect(told.all.first?.contains("await") == true)
            listener.close()
            try await serving.value
        }
    }
}

@Sendable func echo(_ client: Connection) async throws {
    while let message = try await client.receive(upTo: 1024) { try await client.send(message) }
}

/// The helper through which a blocking call gets past `noasync`.
private func receiveBlocking(_ client: Connection) throws {
    _ = try client.receive(upTo: 1)
}
