import Sockets
import SystemPackage
import TestSupport
import Testing

/// How a datagram server ends: what is still answered, and that nothing is left.
@Suite(.inTurn) struct DatagramServingEndingTests {
    /// What is in the sessions when it stops is answered; the bodies see their end after it.
    @Test(arguments: DatagramKind.allCases)
    func stopReceivingLetsSessionsAnswerWhatTheyHave(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let (gate, opener) = try Connection.pair()
            let held = Notes<DatagramSession>()
            let ended = Counter()
            let serving = Task {
                try await server.serve { session in
                    held.add(session)
                    _ = try await gate.receive(upTo: 1)
                    while let message = try await session.receive() { try await session.send(message) }
                    ended.add()
                }
            }
            for number in 0..<5 as Range<UInt8> { try await client.send([number]) }
            try await eventually { held.all.count == 1 }
            // Another's session is known to have begun only after all that came before it is in its session.
            let marker = try await DatagramSocket(to: server.endpoint)
            try await marker.send([99])
            try await eventually { held.all.count == 2 }
            server.stopReceiving()
            try await opener.send([1, 1])
            for number in 0..<5 as Range<UInt8> { #expect(try await client.receive().bytes == [number]) }
            #expect(try await marker.receive().bytes == [99])
            try await serving.value
            #expect(ended.value == 2)
            #expect(!server.isClosed)
            marker.close()
            gate.close()
            opener.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func stopReceivingEndsAServerThatNobodyHasAsked(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { ledger, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            try await ledger.sees(.receiveDatagrams)
            server.stopReceiving()
            try await serving.value
            // It has ended for good.
            try await server.serve(echoDatagrams)
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func closingEndsItWithEverySession(_ kind: DatagramKind) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: kind.endpoint)
            let (begun, ended) = (Counter(), Counter())
            let serving = Task {
                try await server.serve { session in
                    begun.add()
                    defer { ended.add() }
                    while let message = try await session.receive() { try await session.send(message) }
                }
            }
            let clients = try await asked(server, 20)
            server.close()
            try await serving.value
            #expect(begun.value == 20 && ended.value == 20)
            for client in clients { client.close() }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func cancellingEndsItWithEverySession(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let ends = Notes<SocketError.Cause?>()
            let (other, silent) = try DatagramSocket.pair()
            let serving = Task {
                try await server.serve { session in
                    guard let message = try await session.receive() else { return }
                    try await session.send(message)
                    // Half of them wait for their sender, half for something else.
                    if message[0].isMultiple(of: 2) {
                        let ended = try await cause { try await session.receive() }
                        ends.add(ended)
                    } else {
                        let ended = try await cause { try await other.receive() }
                        ends.add(ended)
                    }
                }
            }
            let clients = try await asked(server, 20)
            serving.cancel()
            try await serving.value
            #expect(ends.all == Array(repeating: .cancelled, count: 20))
            // The socket is its owner's to close.
            #expect(!server.isClosed)
            try await clients[0].send([7])
            #expect(try await server.receive().bytes == [7])
            for client in clients { client.close() }
            other.close()
            silent.close()
            server.close()
        }
    }

    @Test func cancellingBeforeItBeginsEndsItAtOnce() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://127.0.0.1:0")
            let serving = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await server.serve(echoDatagrams)
            }
            try await serving.value
            #expect(!server.isClosed)
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func servingAClosedSocketEndsOrFails(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            server.close()
            let ended = try await cause { try await server.serve(echoDatagrams) }
            #expect(ended == nil || ended == .closed)
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aSessionThatOutlivesItsServerCannotSend(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let kept = Notes<DatagramSession>()
            let serving = Task {
                try await server.serve { session in
                    kept.add(session)
                    try await echoDatagrams(session)
                }
            }
            let clients = try await asked(server, 1)
            server.close()
            try await serving.value
            let session = try #require(kept.all.first)
            #expect(try await session.receive() == nil)
            let ended = try await cause { try await session.send([1]) }
            #expect(ended == .closed)
            for client in clients { client.close() }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func itRunsOnTheLoopsThatItIsGiven(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let group = try EventLoopGroup(loops: 2)
            let names = Notes<String>()
            let serving = Task {
                try await server.serve(on: group) { session in
                    names.add(EventLoop.current?.name ?? "none")
                    while let message = try await session.receive() {
                        try await session.send(message)
                        names.add(EventLoop.current?.name ?? "none")
                    }
                }
            }
            for round in 0..<5 as Range<UInt8> {
                try await client.send([round])
                #expect(try await client.receive().bytes == [round])
            }
            server.stopReceiving()
            try await serving.value
            #expect(Set(names.all).isSubset(of: group.loops.map(\.name)))
            group.close()
        }
    }

    /// So many clients that have each been answered once.
    private func asked(_ server: DatagramSocket, _ count: Int) async throws -> [DatagramSocket] {
        var clients: [DatagramSocket] = []
        for number in 0..<count {
            let client = try await DatagramSocket(to: server.endpoint)
            try await client.send([UInt8(number)])
            #expect(try await client.receive().bytes == [UInt8(number)])
            clients.append(client)
        }
        return clients
    }
}
