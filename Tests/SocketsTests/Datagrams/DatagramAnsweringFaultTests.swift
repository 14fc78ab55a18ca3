import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// Answers that go together, of which the kernel takes some: nothing is lost, doubled or overtaken, and nothing hangs.
@Suite(.inTurn) struct DatagramAnsweringFaultTests {
    /// The two servers, whose answers go by the same way.
    enum Way: String, CaseIterable {
        case datagrams, sessions

        func serve(
            _ server: DatagramSocket, onError: (@Sendable (SocketAddress, SocketError) -> Void)? = nil,
            _ answer: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 }
        ) async throws {
            switch self {
            case .datagrams: try await server.serveDatagrams(onError: onError) { answer($0.bytes) }
            case .sessions:
                try await server.serve { session in
                    while true {
                        do {
                            while let message = try await session.receive() { try await session.send(answer(message)) }
                            return
                        } catch let error as SocketError {
                            onError?(session.remoteAddress, error)
                            if error.cause == .cancelled { return }
                        }
                    }
                }
            }
        }
    }

    /// Twelve datagrams of three clients, all there before the server begins, so that their answers go together.
    private func asked(_ server: DatagramSocket) async throws -> [DatagramSocket] {
        var clients: [DatagramSocket] = []
        for _ in 0..<3 { clients.append(try await DatagramSocket(to: server.endpoint)) }
        for round in 0..<4 as Range<UInt8> {
            for (index, client) in clients.enumerated() { try await client.send([UInt8(index), round]) }
        }
        return clients
    }

    private func end(_ server: DatagramSocket, _ clients: [DatagramSocket], _ serving: Task<Void, any Error>)
        async throws
    {
        server.stopReceiving()
        try await serving.value
        for socket in clients + [server] { socket.close() }
    }

    static let hindrances: [Errno] = [.resourceTemporarilyUnavailable, .noBufferSpace, .interrupted]

    /// At the first, in the middle, and at the last of the answers, each of which goes by itself.
    @Test(arguments: DatagramKind.udp, Way.allCases)
    func aBatchThatStopsInTheMiddleGoesOnWhereItStopped(_ kind: DatagramKind, _ way: Way) async throws {
        for errno in Self.hindrances {
            for skip in [0, 1, 5, 11] {
                try await trial { ledger in
                    let server = try DatagramSocket(on: kind.endpoint)
                    let clients = try await asked(server)
                    let before = ledger.count(of: .sendDatagrams)
                    ledger.make(.sendDatagrams, .shorten(to: 1), times: skip)
                    ledger.make(.sendDatagrams, .fail(errno), times: errno == .noBufferSpace ? 3 : 1)
                    let told = Notes<SocketError>()
                    let serving = Task { try await way.serve(server, onError: { told.add($1) }) }
                    for (index, client) in clients.enumerated() {
                        for round in 0..<4 as Range<UInt8> {
                            #expect(try await client.receive().bytes == [UInt8(index), round])
                        }
                    }
                    // They did go together.
                    #expect(ledger.count(of: .sendDatagrams) - before <= skip + 5)
                    #expect(told.all.isEmpty)
                    for client in clients { #expect(!client.hasNews) }
                    try await end(server, clients, serving)
                }
            }
        }
    }

    @Test(arguments: DatagramKind.udp, Way.allCases)
    func whateverASystemCallTakesAllAreSent(_ kind: DatagramKind, _ way: Way) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: kind.endpoint)
            let clients = try await asked(server)
            ledger.make(.sendDatagrams, .shorten(to: 1), times: .max)
            let serving = Task { try await way.serve(server) }
            for (index, client) in clients.enumerated() {
                for round in 0..<4 as Range<UInt8> {
                    #expect(try await client.receive().bytes == [UInt8(index), round])
                }
            }
            try await end(server, clients, serving)
        }
    }

    /// The kernel refuses one of them, whose sender is told; the others go.
    @Test(arguments: DatagramKind.udp, [0, 5, 11])
    func aRefusedAnswerIsToldAndTheOthersGo(_ kind: DatagramKind, _ skip: Int) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: kind.endpoint)
            let clients = try await asked(server)
            ledger.make(.sendDatagrams, .shorten(to: 1), times: skip)
            ledger.make(.sendDatagrams, .fail(.permissionDenied))
            let told = Notes<(SocketAddress, SocketError)>()
            let serving = Task { try await Way.datagrams.serve(server, onError: { told.add(($0, $1)) }) }
            for (index, client) in clients.enumerated() {
                for round in 0..<4 as Range<UInt8> where Int(round) * 3 + index != skip {
                    #expect(try await client.receive().bytes == [UInt8(index), round])
                }
            }
            #expect(told.all.map(\.0) == [try clients[skip % 3].localAddress])
            #expect(told.all.map(\.1.cause) == [.system(.permissionDenied)])
            try await end(server, clients, serving)
        }
    }

    @Test(arguments: DatagramKind.udp)
    func anAnswerThatIsTooLongIsToldAndTheOthersGo(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let clients = try await asked(server)
            let told = Notes<(SocketAddress, SocketError)>()
            let serving = Task {
                try await Way.datagrams.serve(server, onError: { told.add(($0, $1)) }) { question in
                    question == [1, 1] ? pattern(70_000) : question
                }
            }
            for (index, client) in clients.enumerated() {
                for round in 0..<4 as Range<UInt8> where !(index == 1 && round == 1) {
                    #expect(try await client.receive().bytes == [UInt8(index), round])
                }
            }
            try await eventually { !told.all.isEmpty }
            #expect(told.all.map(\.0) == [try clients[1].localAddress])
            #expect(told.all.map(\.1.cause) == [.system(.messageTooLong)])
            try await end(server, clients, serving)
        }
    }

    /// The system has no memory for them for long: those that did not go are told, and only those.
    @Test(arguments: DatagramKind.udp)
    func aShortageWithoutEndIsToldForEachAnswerThatDidNotGo(_ kind: DatagramKind) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: kind.endpoint)
            let clients = try await asked(server)
            ledger.make(.sendDatagrams, .shorten(to: 1), times: 5)
            ledger.make(.sendDatagrams, .fail(.noBufferSpace), times: .max)
            let told = Notes<(SocketAddress, SocketError)>()
            let serving = Task { try await Way.datagrams.serve(server, onError: { told.add(($0, $1)) }) }
            try await eventually { told.all.count == 7 }
            #expect(told.all.map(\.0) == (try (5..<12).map { try clients[$0 % 3].localAddress }))
            #expect(told.all.allSatisfy { $0.1.cause == .system(.noBufferSpace) })
            ledger.letAllPass()
            // It is not held against those who ask again.
            for client in clients { try await client.ask([9]) { $0 == [9] } }
            try await end(server, clients, serving)
        }
    }

    /// Closed or cancelled while a batch waits for room, it returns, and what did not go is told.
    @Test(arguments: DatagramKind.udp, Way.allCases)
    func aBatchThatWaitsForRoomEndsWithItsServer(_ kind: DatagramKind, _ way: Way) async throws {
        for isCancelled in [true, false] {
            try await trial { ledger in
                let server = try DatagramSocket(on: kind.endpoint)
                let clients = try await asked(server)
                let before = ledger.count(of: .sendDatagrams)
                ledger.make(.sendDatagrams, .fail(.noBufferSpace), times: .max)
                let told = Notes<SocketError>()
                let serving = Task { try await way.serve(server, onError: { told.add($1) }) }
                try await ledger.sees(.sendDatagrams, before + 2)
                if isCancelled { serving.cancel() } else { server.close() }
                try await serving.value
                switch way {
                case .datagrams:
                    #expect(told.all.map(\.cause) == Array(repeating: isCancelled ? .cancelled : .closed, count: 12))
                case .sessions: #expect(told.all.allSatisfy { $0.cause == .cancelled || $0.cause == .closed })
                }
                ledger.letAllPass()
                for socket in clients + [server] { socket.close() }
            }
        }
    }

    /// A session that answers more than a batch holds, while the kernel has no room: its later answers wait for the earlier.
    @Test(arguments: DatagramKind.udp, hindrances)
    func aFullBoxIsNotOvertaken(_ kind: DatagramKind, _ errno: Errno) async throws {
        try await trial(over: kind) { ledger, client, server in
            try await client.send([0])
            // At the first answer that finds the box full, and again at the next attempt.
            ledger.make(.sendDatagrams, .fail(errno), times: 2)
            let serving = Task {
                try await server.serve { session in
                    guard try await session.receive() != nil else { return }
                    for number in 0..<100 as Range<UInt8> { try await session.send([number]) }
                }
            }
            for number in 0..<100 as Range<UInt8> { #expect(try await client.receive().bytes == [number]) }
            #expect(!client.hasNews)
            server.stopReceiving()
            try await serving.value
        }
    }
}
