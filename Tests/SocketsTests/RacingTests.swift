import Sockets
import SystemPackage
import TestSupport
import Testing

/// Ends that race with what they end. Each wait must end exactly once: a continuation resumed twice traps in debug builds,
/// and one never resumed is a test that does not end.
@Suite(.inTurn) struct RacingTests {
    private let rounds = 700

    @Test(arguments: Kind.allCases, Face.allCases)
    func closeRacesWithReceiveAndSend(_ kind: Kind, _ face: Face) async throws {
        let rounds = face == .task ? rounds : rounds / 5
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            for round in 0..<rounds {
                let client = try await Connection(to: listener.endpoint)
                let server = try await listener.accept()
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { #expect(await ends { try await server.receive(upTo: 9, by: face) }) }
                    group.addTask { #expect(await ends { try await server.receive(exactly: 9, by: face) }) }
                    group.addTask { #expect(await ends { try await server.send([1, 2, 3], by: face) }) }
                    group.addTask {
                        for _ in 0..<(round % 7) { await Task.yield() }
                        server.close()
                    }
                    if round % 3 == 0 { group.addTask { try? await client.send([UInt8](repeating: 7, count: 5)) } }
                }
                client.close()
            }
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func cancellationRacesWithReceive(_ kind: Kind) async throws {
        let rounds = rounds * 3
        try await trial(over: kind) { ledger, client, server, listener in
            var received = 0
            var sent = 0
            for round in 0..<rounds {
                let receive = Task { try await server.receive(upTo: 1) }
                for _ in 0..<(round % 5) { await Task.yield() }
                if round % 2 == 0 {
                    try await client.send([UInt8(truncatingIfNeeded: sent)])
                    sent += 1
                }
                receive.cancel()
                do {
                    if let byte = try await receive.value {
                        #expect(byte == [UInt8(truncatingIfNeeded: received)])
                        received += 1
                    }
                } catch let error as SocketError {
                    #expect(error.cause == .cancelled)
                }
            }
            // What a cancelled receive did not give is still there.
            try client.finishSending()
            while let byte = try await server.receive(upTo: 1) {
                #expect(byte == [UInt8(truncatingIfNeeded: received)])
                received += 1
            }
            #expect(received == sent)
        }
    }

    @Test(arguments: Kind.allCases)
    func deadlinesRaceWithBytes(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            var received = 0
            let sending = Task {
                for round in 0..<1000 {
                    try await client.send([UInt8(truncatingIfNeeded: round)])
                    if round % 10 == 0 { await Task.yield() }
                }
                try client.finishSending()
            }
            while true {
                server.receiveDeadline = .after(.microseconds(received % 300))
                do {
                    guard let byte = try await server.receive(upTo: 1) else { break }
                    #expect(byte == [UInt8(truncatingIfNeeded: received)])
                    received += 1
                } catch let error as SocketError {
                    #expect(error.cause == .timedOut)
                    // Time does not stand still for a deadline of no length.
                    server.receiveDeadline = .never
                    guard let byte = try await server.receive(upTo: 1) else { break }
                    #expect(byte == [UInt8(truncatingIfNeeded: received)])
                    received += 1
                }
            }
            #expect(received == 1000)
            try await sending.value
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func closeRacesWithAcceptAndConnect(_ kind: Kind, _ face: Face) async throws {
        let rounds = face == .task ? rounds : rounds / 5
        try await trial { _ in
            for round in 0..<rounds {
                let listener = try Listener(on: kind.endpoint)
                let endpoint = listener.endpoint
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<2 {
                        group.addTask { #expect(await ends { try await listener.accept(by: face).close() }) }
                    }
                    group.addTask {
                        for _ in 0..<(round % 5) { await Task.yield() }
                        listener.close()
                    }
                    if round % 2 == 0 {
                        group.addTask { _ = await ends { try await Connection(to: endpoint).close() } }
                    }
                }
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func cancellationRacesWithAcceptAndConnect(_ kind: Kind) async throws {
        let rounds = rounds
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            for round in 0..<rounds {
                let accept = Task { try await listener.accept().close() }
                let connect = Task { try await Connection(to: listener.endpoint).close() }
                for _ in 0..<(round % 5) { await Task.yield() }
                accept.cancel()
                if round % 2 == 0 { connect.cancel() }
                #expect(await ends { try await accept.value })
                #expect(await ends { try await connect.value })
                // Whoever still queues is taken out, or the queue would fill.
                listener.acceptDeadline = .now
                listener.acceptDeadline = .after(.milliseconds(1))
                while (try? await listener.accept().close()) != nil {}
                listener.acceptDeadline = .never
            }
            listener.close()
        }
    }

    @Test func cancellingServeRacesWithItsClients() async throws {
        try await trial { _ in
            for round in 0..<150 {
                let listener = try Listener(on: "127.0.0.1:0")
                let serving = Task { try await listener.serve(echo) }
                var clients: [Task<Bool, Never>] = []
                for _ in 0..<4 {
                    clients.append(
                        Task {
                            await ends {
                                let client = try await Connection(to: listener.endpoint, timeout: patience)
                                defer { client.close() }
                                client.receiveDeadline = .after(patience)
                                try await client.send([1])
                                _ = try await client.receive(upTo: 9)
                            }
                        })
                }
                for _ in 0..<(round % 20) { await Task.yield() }
                if round % 2 == 0 { serving.cancel() } else { listener.close() }
                try await serving.value
                listener.close()
                for client in clients { #expect(await client.value) }
            }
        }
    }
}

/// Whether `body` came to its end by a value or by an error of a kind that a race may bring.
func ends<T>(_ body: () async throws -> T) async -> Bool {
    do {
        _ = try await body()
        return true
    } catch let error as SocketError {
        switch error.cause {
        case .closed, .cancelled, .ended: return true
        case .system(.connectionReset), .system(.brokenPipe): return true
        case .system(.connectionRefused), .system(.noSuchFileOrDirectory): return true
        default:
            print("an odd end: \(error)")
            return false
        }
    } catch {
        return false
    }
}
