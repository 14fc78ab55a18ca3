import Sockets
import SystemPackage
import TestSupport
import Testing

/// The end of loops with sockets that live, and the number of descriptors after many clients.
@Suite(.inTurn) struct LoopClosingTests {
    @Test(arguments: Kind.allCases)
    func closingAGroupEndsAllThatWaitsInItOnce(_ kind: Kind) async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 2)
            let listener = try Listener(on: kind.endpoint)
            var pairs: [(Connection, Connection)] = []
            var tasks: [Task<SocketError.Cause?, any Error>] = []
            for round in 0..<20 {
                let loop = group.loops[round % 2]
                // Made on the loop: a connect that must wait ties its socket to the loop on which it does.
                let client = try await Task(executorPreference: loop) {
                    try await Connection(to: listener.endpoint)
                }.value
                let server = try await listener.accept()
                pairs.append((client, server))
                try client.fill(with: server)
                tasks.append(
                    Task(executorPreference: loop) { try await cause { try await client.receive(upTo: 9) } })
                tasks.append(
                    Task(executorPreference: loop) { try await cause { try await client.receive(upTo: 9) } })
                tasks.append(
                    Task(executorPreference: loop) { try await cause { try await client.send(pattern(1 << 22)) } })
            }
            tasks.append(
                Task(executorPreference: group.loops[0]) {
                    try await cause { try await EventLoop.sleep(for: .seconds(1000)) }
                })
            try await ledger.sees(.receive, 20)
            try await ledger.sees(.send, 20)
            group.close()
            for task in tasks { #expect(try await task.value == .closed) }
            // A later wait on a socket of a loop that is no more fails too, and does not hang.
            let late = try await within { [client = pairs[0].0] in try await cause { try await client.receive(upTo: 9) }
            }
            #expect(late == .closed)
            for (client, server) in pairs {
                client.close()
                server.close()
            }
            listener.close()
            group.close()
        }
    }

    @Test func closingAGroupUnderServeEndsItsClientsAndItself() async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 2)
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task { try await cause { try await listener.serve(on: group, echo) } }
            var clients: [Connection] = []
            for _ in 0..<20 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([1])
                #expect(try await client.receive(upTo: 9) == [1])
                clients.append(client)
            }
            group.close()
            _ = try await serving.value
            for client in clients {
                #expect(await ends { try await client.receive(upTo: 9) })
                client.close()
            }
            listener.close()
        }
    }

    @Test func runEndsItsLoopsHoweverItsBodyEnds() async throws {
        struct Odd: Error {}
        try await trial { ledger in
            let name = try await EventLoopGroup.run(loops: 2) { _ in EventLoop.current?.name }
            #expect(name == "loop-0")
            await #expect(throws: Odd.self) { try await EventLoopGroup.run(loops: 1) { _ in throw Odd() } }
            #expect(ledger.open.isEmpty)
        }
    }

    @Test func closingALoopRacesWithWaitsThatBegin() async throws {
        try await trial { _ in
            for round in 0..<150 {
                let group = try EventLoopGroup(loops: 1)
                let (one, other) = try Connection.pair()
                let tasks = (0..<3).map { _ in
                    Task(executorPreference: group.loops[0]) { await ends { try await one.receive(upTo: 9) } }
                }
                for _ in 0..<(round % 10) { await Task.yield() }
                group.close()
                // A wait that began only after the end is tied to the loops that never end: closing it ends that one.
                one.close()
                for task in tasks { #expect(await task.value) }
                other.close()
            }
        }
    }

    /// G1: as many descriptors at the end as at the beginning.
    @Test func aThousandClientsAtOnceAreEchoedAndLeaveNothingOpen() async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 1)
            let before = ledger.open.count
            let listener = try Listener(on: "127.0.0.1:0")
            let serving = Task { try await listener.serve(on: group, echo) }
            let clients = try await withThrowingTaskGroup(of: Connection.self) { tasks in
                for number in 0..<1000 {
                    tasks.addTask {
                        let client = try await Connection(to: listener.endpoint)
                        let message = pattern(200, seed: UInt64(number))
                        try await client.send(message)
                        #expect(try await client.receive(exactly: 200) == message)
                        return client
                    }
                }
                return try await tasks.reduce(into: [Connection]()) { $0.append($1) }
            }
            #expect(ledger.open.count == before + 2001)
            for client in clients { client.close() }
            try await eventually(patience, "closing all but the listener") { ledger.open.count == before + 1 }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func refusedPeersAndResetPeersLeaveNothingOpen(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve(onError: { _, _ in }, echo) }
            for round in 0..<300 {
                let client = try await Connection(to: listener.endpoint)
                if round % 3 == 0 { try client.rawSend([1]) }
                if kind != .unix, round % 2 == 0 { try client.reset() } else { client.close() }
            }
            try await eventually { ledger.open.count == 1 }
            let last = try await Connection(to: listener.endpoint)
            try await last.send([1])
            #expect(try await last.receive(upTo: 9) == [1])
            last.close()
            listener.close()
            try await serving.value
        }
    }
}
