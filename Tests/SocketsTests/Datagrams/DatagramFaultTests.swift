import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// System calls that fail, come back early or do half of their work: nothing is lost, and nothing else is hurt.
@Suite(.inTurn) struct DatagramFaultTests {
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func interruptedCallsAreRepeated(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { ledger in
            let calls: [SystemCall] = [
                .socket, .bind, .receiveDatagrams, .sendDatagrams, .send, .getsockopt, .setsockopt, .getsockname,
                .getpeername, .epollControl, .poll, .fchmod, .stat, .unlink,
            ]
            for call in calls { ledger.make(call, .fail(.interrupted), times: 3) }
            let server = try DatagramSocket(on: kind.endpoint)
            ledger.make(.connect, .fail(.interrupted), times: kind.isUnix ? 0 : 1)
            let client = try await DatagramSocket.connect(to: "\(server.endpoint)", by: face)
            for round in 0..<5 as Range<UInt8> {
                async let received = server.receive(by: face)
                try await client.send([round], by: face)
                let question = try await received
                #expect(question.bytes == [round])
                try await server.send([round, 1], to: question.sender, by: face)
                #expect(try await client.receive(by: face).bytes == [round, 1])
            }
            client.close()
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func interruptedCallsAreRepeatedByAServer(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { ledger, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            for round in 0..<20 as Range<UInt8> {
                ledger.make(.receiveDatagrams, .fail(.interrupted), times: 2)
                ledger.make(.sendDatagrams, .fail(.interrupted), times: 2)
                try await client.send([round])
                #expect(try await client.receive().bytes == [round])
            }
            server.stopReceiving()
            try await serving.value
        }
    }

    /// Ready, and then it was not: a datagram with a bad checksum, or another reader.
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aReceiveThatFindsNothingWaitsAgain(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            ledger.make(.receiveDatagrams, .fail(.resourceTemporarilyUnavailable))
            async let received = server.receive(by: face)
            try await ledger.sees(.receiveDatagrams)
            try await client.send([1], by: face)
            #expect(try await received.bytes == [1])
            // No spinning meanwhile.
            #expect(ledger.count(of: .receiveDatagrams) < 50)
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aSendThatFindsNoRoomWaitsForIt(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            ledger.make(.sendDatagrams, .fail(.resourceTemporarilyUnavailable))
            try await client.send([1], by: face)
            #expect(try await server.receive(by: face).bytes == [1])
            #expect(ledger.count(of: .sendDatagrams) == 2)
        }
    }

    /// What comes of it is an error or a pause, but not the socket's end, nor a datagram that went twice.
    @Test(arguments: DatagramKind.allCases, [Errno.noBufferSpace, .noMemory])
    func aShortageInASendPassesOrIsTold(_ kind: DatagramKind, _ errno: Errno) async throws {
        for face in Face.allCases {
            try await trial(over: kind) { ledger, client, server in
                ledger.make(.sendDatagrams, .fail(errno), times: 2)
                let ended = try await cause { try await client.send([1], by: face) }
                #expect(ended == nil || ended == .system(errno))
                ledger.letAllPass()
                try await client.send([2], by: face)
                if ended == nil { #expect(try await server.receive(by: face).bytes == [1]) }
                #expect(try await server.receive(by: face).bytes == [2])
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, [Errno.noBufferSpace, .noMemory])
    func aShortageInAReceiveIsToldAndLosesNothing(_ kind: DatagramKind, _ errno: Errno) async throws {
        for face in Face.allCases {
            try await trial(over: kind) { ledger, client, server in
                try await client.send([1], by: face)
                ledger.make(.receiveDatagrams, .fail(errno))
                let ended = try await cause { try await server.receive(by: face) }
                #expect(ended == .system(errno))
                #expect(try await server.receive(by: face).bytes == [1])
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, [Errno.noBufferSpace, .noMemory, .connectionRefused])
    func aShortageDoesNotEndAServer(_ kind: DatagramKind, _ errno: Errno) async throws {
        try await trial(over: kind) { ledger, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            for round in 0..<5 as Range<UInt8> {
                ledger.make(.receiveDatagrams, .fail(errno), times: 3)
                // Some of them are the client's own.
                while try await cause({ try await client.ask([round]) { $0 == [round] } }) != nil {}
            }
            ledger.letAllPass()
            server.stopReceiving()
            try await serving.value
        }
    }

    /// An answer that the kernel refuses is its session's affair.
    @Test(arguments: DatagramKind.allCases, [Errno.noBufferSpace, .noMemory, .permissionDenied, .networkUnreachable])
    func aRefusedAnswerDoesNotEndAServer(_ kind: DatagramKind, _ errno: Errno) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: kind.endpoint)
            let serving = Task { try await server.serve(echoDatagrams) }
            let client = try await DatagramSocket(to: server.endpoint)
            try await client.ask([0]) { $0 == [0] }
            for round in 1..<5 as Range<UInt8> {
                // The client's own send is the first one, unless an answer is late.
                ledger.make(.sendDatagrams, .fail(errno), after: 1)
                while try await cause({ try await client.ask([round]) { $0 == [round] } }) != nil {}
                ledger.letAllPass()
            }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func whateverASystemCallGivesEverythingComes(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            ledger.make(.receiveDatagrams, .shorten(to: 1), times: .max)
            for number in 0..<10 { try await client.send(pattern(number * 50), by: face) }
            for number in 0..<10 {
                #expect(try await server.receive(by: face).bytes == pattern(number * 50))
            }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func whateverASystemCallGivesAServerAnswersAll(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { ledger, client, server in
            ledger.make(.receiveDatagrams, .shorten(to: 1), times: .max)
            ledger.make(.sendDatagrams, .shorten(to: 1), times: .max)
            let serving = Task { try await server.serve(echoDatagrams) }
            for round in 0..<5 as Range<UInt8> {
                for number in 0..<8 as Range<UInt8> { try await client.send([round, number]) }
                for number in 0..<8 as Range<UInt8> { #expect(try await client.receive().bytes == [round, number]) }
            }
            server.stopReceiving()
            try await serving.value
        }
    }

    static let making: [SystemCall] = [
        .socket, .bind, .connect, .getsockname, .setsockopt, .fchmod, .stat, .getpeername, .getsockopt, .fcntl,
    ]

    @Test(arguments: making, DatagramKind.allCases)
    func aBindingThatFailsLeavesNothing(_ call: SystemCall, _ kind: DatagramKind) async throws {
        // Each of the calls of a kind that making a socket needs.
        for skip in 0..<8 {
            try await trial { (ledger) async throws in
                ledger.make(call, .fail(.noMemory), after: skip)
                let endpoint = kind.endpoint
                do {
                    let socket = try DatagramSocket(on: endpoint)
                    socket.close()
                } catch let error as SocketError {
                    #expect(error.cause == .system(.noMemory))
                    #expect(error.operation == .bind)
                    #expect(ledger.open.isEmpty)
                    #expect(ledger.count(of: call) > skip)
                    if kind == .unixPath {
                        #expect(access(String(endpoint.dropFirst("unix-dgram:".count)), F_OK) == -1)
                    }
                }
            }
        }
    }

    @Test(arguments: making, DatagramKind.allCases)
    func aConnectingThatFailsLeavesNothing(_ call: SystemCall, _ kind: DatagramKind) async throws {
        for (skip, face) in (0..<6).flatMap({ skip in Face.allCases.map { (skip, $0) } }) {
            try await trial { ledger in
                let server = try DatagramSocket(on: kind.endpoint)
                ledger.make(call, .fail(.noMemory), after: skip)
                do {
                    let socket = try await DatagramSocket.connect(to: "\(server.endpoint)", by: face)
                    socket.close()
                } catch let error as SocketError {
                    #expect(error.cause == .system(.noMemory))
                    #expect(error.operation == .connect)
                    #expect(ledger.open.count == 1)
                }
                ledger.letAllPass()
                server.close()
            }
        }
    }

    @Test func aPairThatCannotBeMadeLeavesNothing() async throws {
        for call in [SystemCall.socketpair, .getsockname, .setsockopt, .getsockopt, .fcntl] {
            try await trial { (ledger) async throws in
                ledger.make(call, .fail(.tooManyOpenFiles))
                do {
                    let (one, other) = try DatagramSocket.pair()
                    one.close()
                    other.close()
                } catch let error as SocketError {
                    #expect(error.cause == .system(.tooManyOpenFiles))
                    #expect(ledger.open.isEmpty)
                }
            }
        }
    }

    @Test func aSocketThatThePollerRefusesFailsItsWaitAndLives() async throws {
        try await trial(over: .udp4) { ledger, client, server in
            // A loop of the test's own is under its ledger.
            let group = try EventLoopGroup(loops: 1)
            try await Task(executorPreference: group.loops[0]) {
                ledger.make(.epollControl, .fail(.noMemory))
                #expect(try await cause { try await server.receive() } == .system(.noMemory))
                try await client.send([1])
                #expect(try await server.receive().bytes == [1])
                async let received = client.receive()
                try await server.send([2], to: client.localAddress)
                #expect(try await received.bytes == [2])
            }.value
            group.close()
        }
    }
}
