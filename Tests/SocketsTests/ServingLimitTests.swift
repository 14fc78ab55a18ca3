import Sockets
import SystemPackage
import TestSupport
import Testing

/// How many clients `serve` takes, where they run, and how long they may be silent.
@Suite(.inTurn) struct ServingLimitTests {
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
            let start = ContinuousClock.now
            let client = try await Connection(to: listener.endpoint)
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

/// The helper through which a blocking call gets past `noasync`.
private func receiveBlocking(_ client: Connection) throws {
    _ = try client.receive(upTo: 1)
}
