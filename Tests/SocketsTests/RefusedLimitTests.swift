import Loops
import Sockets
import TestSupport
import Testing

/// A limit of zero or less is a mistake of the caller: nothing would be served.
@Suite(.inTurn) struct RefusedLimitTests {
    static let numbers = [0, -1, Int.min]
    static let times: [Duration] = [.zero, .seconds(-1)]

    @Test(arguments: numbers)
    func aServersNumbersAreRefused(_ number: Int) async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
            #expect(try await isMisuse { try await listener.serve(limit: number) { _ in } })
            #expect(try await isMisuse { try await listener.serveMessages(limit: number) { _, _ in } })
            #expect(try await isMisuse { try await listener.serveMessages(upTo: number) { _, _ in } })
            #expect(try await isMisuse { try await socket.serve(limit: number) { _ in } })
            #expect(try await isMisuse { try await socket.serve(queue: number) { _ in } })
            #expect(try await isMisuse { try EventLoopGroup(loops: number) })
            #expect(try await isMisuse { try await EventLoopGroup.run(loops: number) { _ in } })
            listener.close()
            socket.close()
        }
    }

    @Test(arguments: times)
    func aServersIdleTimeIsRefused(_ time: Duration) async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
            #expect(try await isMisuse { try await listener.serve(idleTimeout: time) { _ in } })
            #expect(try await isMisuse { try await listener.serveMessages(idleTimeout: time) { _, _ in } })
            #expect(try await isMisuse { try await socket.serve(idleTimeout: time) { _ in } })
            listener.close()
            socket.close()
        }
    }

    @Test(arguments: numbers)
    func aBacklogIsRefusedBeforeAnythingIsOpened(_ number: Int) async throws {
        try await trial { ledger in
            #expect(try await isMisuse { try Listener(on: "127.0.0.1:0", backlog: number) })
            #expect(try await isMisuse { try Listener.open(Endpoint("127.0.0.1:0"), backlog: number) })
            #expect(ledger.count(of: .socket) == 0)
            let listener = try Listener(bound: Endpoint("127.0.0.1:0"))
            #expect(try await isMisuse { try listener.listen(backlog: number) })
            try listener.listen(backlog: 1)
            listener.close()
        }
        #expect(throws: SocketError.self) { try Listener(on: "127.0.0.1:0?backlog=0") }
    }

    @Test(arguments: Kind.allCases)
    func whatAReceiveMayTakeIsRefused(_ kind: Kind) async throws {
        try await trial(over: kind) { _, client, server, _ in
            for number in Self.numbers {
                #expect(try await isMisuse { for try await _ in server.messages(upTo: number) {} })
                #expect(try await isMisuse { for try await _ in server.lines(upTo: number) {} })
                for face in Face.allCases {
                    #expect(try await isMisuse { try await server.receiveLine(upTo: number, by: face) })
                }
                #expect(try await isMisuse { try await server.forward(to: server, upTo: number) })
            }
            #expect(try await isMisuse { try await receiveIntoNothing(server) })
            #expect(try await isMisuse { try await onThread { try receiveIntoNothingBlocking(server) } })
            // Nothing was lost by it.
            try await client.send("a\n")
            #expect(try await server.receiveLine() == "a")
        }
    }

    @Test(arguments: [(0, nil), (-1, nil), (1, .zero), (1, .seconds(-1))] as [(Int, Duration?)])
    func aRelaysLimitsAreRefusedWhenItRuns(_ size: Int, _ time: Duration?) async throws {
        try await trial { _ in
            let (one, first) = try Connection.pair()
            let (two, second) = try Connection.pair()
            let relay = Relay(first, second, upTo: size, idleTimeout: time)
            await relay.run()
            #expect(try await isMisuse { if let failure = relay.forth.failure { throw failure } })
            #expect(try await isMisuse { if let failure = relay.back.failure { throw failure } })
            #expect(first.isClosed && second.isClosed)
            one.close()
            two.close()
        }
    }

    @Test(arguments: [(0, nil), (-1, nil), (1, .zero), (1, .seconds(-1))] as [(Int, Duration?)])
    func aDatagramRelaysLimitsAreRefusedWhenItRuns(_ size: Int, _ time: Duration?) async throws {
        try await trial { _ in
            let (peer, stream) = try Connection.pair()
            let (other, target) = try DatagramSocket.pair()
            let relay = DatagramRelay(stream, target, framing: .lines, upTo: size, idleTimeout: time)
            await relay.run()
            #expect(try await isMisuse { if let failure = relay.forth.failure { throw failure } })
            #expect(stream.isClosed && target.isClosed)
            peer.close()
            other.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aTimeBelowZeroIsRefusedAndZeroIsOverAtOnce(_ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let endpoint = "\(listener.endpoint)"
            #expect(try await isMisuse { try await Connection.connect(to: endpoint, timeout: .seconds(-1), by: face) })
            let client = try await Connection.connect(to: endpoint, by: face)
            for time in Self.times {
                #expect(try await isMisuse { try client.setKeepAlive(after: time) })
                #expect(try await isMisuse { try listener.setKeepAlive(after: time) })
                client.idleTimeout = time
                #expect(try await cause { try await client.receive(upTo: 1, by: face) } == .timedOut)
            }
            client.close()
            listener.close()
        }
    }

    // MARK: What a cancelled server leaves

    @Test(arguments: [true, false])
    func aCancelledServeReturnsAndTheNextOneServesWhoQueued(_ isByMessage: Bool) async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let serve: @Sendable () async throws -> Void = {
                if isByMessage {
                    try await listener.serveMessages { client, message in try await client.send(message) }
                } else {
                    try await listener.serve(echo)
                }
            }
            let first = Task { try await serve() }
            let early = try await Connection(to: listener.endpoint)
            try await early.send([1])
            #expect(try await early.receive(upTo: 9) == [1])
            first.cancel()
            // It returns; it does not throw.
            try await first.value
            #expect(!listener.isClosed)
            #expect((try? await early.receive(upTo: 9)) == nil)
            let queued = try await Connection(to: listener.endpoint)
            try await queued.send([2])
            let second = Task { try await serve() }
            #expect(try await queued.receive(upTo: 9) == [2])
            queued.close()
            early.close()
            listener.close()
            try await second.value
        }
    }

    @Test func closingTheListenerAfterACancelledServeResetsWhoQueued() async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let serving = Task { try await listener.serve(echo) }
            let served = try await Connection(to: listener.endpoint)
            try await served.send([1])
            #expect(try await served.receive(upTo: 9) == [1])
            serving.cancel()
            try await serving.value
            let queued = try await Connection(to: listener.endpoint)
            listener.close()
            #expect(try await cause { try await queued.receive(upTo: 9) } == .system(.connectionReset))
            queued.close()
            served.close()
        }
    }

    @Test(arguments: [true, false])
    func aCancelledDatagramServerLeavesTheSocketOpen(_ hasSessions: Bool) async throws {
        try await trial { _ in
            let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
            let serve: @Sendable () async throws -> Void = {
                if hasSessions {
                    try await socket.serve { session in
                        while let message = try await session.receive() { try await session.send(message) }
                    }
                } else {
                    try await socket.serveDatagrams { $0.bytes }
                }
            }
            let client = try await DatagramSocket(to: socket.endpoint)
            let first = Task { try await serve() }
            try await client.send([1])
            #expect(try await client.receive().bytes == [1])
            first.cancel()
            try await first.value
            try await client.send([2])
            let second = Task { try await serve() }
            #expect(try await client.receive().bytes == [2])
            client.close()
            socket.close()
            try await second.value
        }
    }
}

private func receiveIntoNothing(_ connection: Connection) async throws {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    defer { room.deallocate() }
    var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(rebasing: room[..<0]), initializedCount: 0)
    _ = try await connection.receive(into: &span)
}

private func receiveIntoNothingBlocking(_ connection: Connection) throws {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    defer { room.deallocate() }
    var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(rebasing: room[..<0]), initializedCount: 0)
    _ = try connection.receive(into: &span)
}
