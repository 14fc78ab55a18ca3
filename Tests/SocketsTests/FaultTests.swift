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
@Suite(.inTurn) struct FaultTests {
    static let bytewise = 3_000

    @Test(arguments: Kind.allCases, Face.allCases)
    func interruptedCallsAreRepeated(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            for call in [SystemCall.socket, .bind, .listen, .accept, .connect, .send, .receive, .shutdown] {
                ledger.make(call, .fail(.interrupted), times: 3)
            }
            for call in [SystemCall.getsockopt, .setsockopt, .getsockname, .getpeername, .epollControl, .poll] {
                ledger.make(call, .fail(.interrupted), times: 3)
            }
            let listener = try Listener(on: kind.endpoint)
            async let accepted = listener.accept(by: face)
            let client = try await Connection.connect(to: "\(listener.endpoint)", by: face)
            let server = try await accepted
            let bytes = pattern(500_000)
            async let received = server.receiveAll(by: face)
            try await client.send(bytes, by: face)
            try client.finishSending()
            #expect(try await received == bytes)
            client.close()
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func interruptedWaitsOfALoopAreTakenUpAgain(_ kind: Kind) async throws {
        try await trial { ledger in
            ledger.make(.epollWait, .fail(.interrupted), times: 50)
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serve(on: group, echo) }
            let client = try await Connection(to: listener.endpoint)
            for round in 0..<40 as Range<UInt8> {
                try await client.send([round])
                #expect(try await client.receive(upTo: 9) == [round])
            }
            #expect(ledger.count(of: .epollWait) > 50)
            client.close()
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// The time that a signal took is not given back.
    @Test(arguments: Face.allCases)
    func aDeadlineDoesNotStartAnewAfterASignal(_ face: Face) async throws {
        try await trial(over: .tcp4) { (ledger, client, server, listener) async throws in
            ledger.make(.poll, .fail(.interrupted), times: 20)
            ledger.make(.receive, .fail(.interrupted), times: 20)
            let start = ContinuousClock.now
            server.receiveDeadline = .after(.milliseconds(100))
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(100))
        }
    }

    /// connect(2) goes on by itself: to call it again would be an error.
    @Test(arguments: Kind.allCases, Face.allCases)
    func anInterruptedConnectIsNotCalledAgain(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            ledger.make(.connect, .fail(.interrupted))
            let client = try await Connection.connect(to: "\(listener.endpoint)", by: face)
            #expect(ledger.count(of: .connect) == 1)
            let server = try await listener.accept(by: face)
            try await client.send([1])
            #expect(try await server.receive(upTo: 9) == [1])
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func anInterruptedConnectThatIsRefusedTellsSo(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let endpoint = "\(listener.endpoint)"
            listener.close()
            ledger.make(.connect, .fail(.interrupted))
            #expect(
                try await cause { try await Connection.connect(to: endpoint, by: face) }
                    == .system(.connectionRefused))
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func shortReadsLoseNothing(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let bytes = pattern(Self.bytewise)
            ledger.make(.receive, .shorten(to: 1), times: .max)
            try await client.send(bytes, by: face)
            #expect(try await server.receive(exactly: 1000, by: face) == Array(bytes[..<1000]))
            try client.finishSending()
            #expect(try await server.receive(exactly: 1000, by: face) == Array(bytes[1000..<2000]))
            #expect(try await server.receive(exactly: 1000, by: face) == Array(bytes[2000...]))
            #expect(try await server.receive(upTo: 100, by: face) == nil)
            #expect(ledger.count(of: .receive) >= Self.bytewise)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func shortWritesLoseNothing(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let bytes = pattern(Self.bytewise)
            ledger.make(.send, .shorten(to: 1), times: .max)
            async let sending: Void = {
                try await client.send(bytes, by: face)
                try client.finishSending()
            }()
            #expect(try await server.receiveAll(by: face) == bytes)
            try await sending
            #expect(ledger.count(of: .send) >= Self.bytewise)
        }
    }

    @Test(arguments: Face.allCases)
    func linesSurviveAnySplit(_ face: Face) async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            ledger.make(.receive, .shorten(to: 1), times: .max)
            ledger.make(.send, .shorten(to: 1), times: .max)
            try await client.send(Array("première\r\n第二\n\nlast".utf8), by: face)
            try client.finishSending()
            #expect(try await server.receiveLine(by: face) == "première")
            #expect(try await server.receiveLine(by: face) == "第二")
            #expect(try await server.receiveLine(by: face) == "")
            #expect(try await server.receiveLine(by: face) == "last")
            #expect(try await server.receiveLine(by: face) == nil)
        }
    }

    @Test(arguments: [Errno.noBufferSpace, .noMemory], Face.allCases)
    func aShortageFailsOneOperationAndNothingElse(_ errno: Errno, _ face: Face) async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            ledger.make(.send, .fail(errno))
            #expect(try await cause { try await client.send([1], by: face) } == .system(errno))
            try await client.send([2], by: face)
            ledger.make(.receive, .fail(errno))
            #expect(try await cause { try await server.receive(upTo: 9, by: face) } == .system(errno))
            #expect(try await server.receive(upTo: 9, by: face) == [2])
            ledger.make(.socket, .fail(errno))
            let open = ledger.open
            #expect(
                try await cause { try await Connection.connect(to: "\(listener.endpoint)", by: face) }
                    == .system(errno))
            #expect(ledger.open == open)
            ledger.make(.accept, .fail(errno))
            let other = try await Connection(to: listener.endpoint)
            #expect(try await cause { try await listener.accept(by: face) } == .system(errno))
            let peer = try await listener.accept(by: face)
            try await peer.send([3], by: face)
            #expect(try await other.receive(upTo: 9, by: face) == [3])
            peer.close()
        }
    }

    /// What a call had got before the next one failed is the next receive's.
    @Test(arguments: Face.allCases)
    func aFailureHalfWayThroughLosesNothing(_ face: Face) async throws {
        try await trial(over: .unix) { ledger, client, server, listener in
            try await client.send([1, 2])
            ledger.make(.receive, .fail(.noMemory), after: 1)
            #expect(try await cause { try await server.receive(exactly: 5, by: face) } == .system(.noMemory))
            try await client.send([3, 4, 5])
            #expect(try await server.receive(exactly: 5, by: face) == [1, 2, 3, 4, 5])
        }
    }

    @Test(arguments: Face.allCases)
    func withoutDescriptorsNothingIsLeftHalfOpen(_ face: Face) async throws {
        try await trial { ledger in
            ledger.make(.socket, .fail(.tooManyOpenFiles))
            #expect(try await cause { try Listener(on: "127.0.0.1:0") } == .system(.tooManyOpenFiles))
            ledger.make(.socketpair, .fail(.tooManyOpenFiles))
            #expect(try await cause { try Connection.pair() } == .system(.tooManyOpenFiles))
            let listener = try Listener(on: "127.0.0.1:0")
            ledger.make(.socket, .fail(.tooManyOpenFiles))
            #expect(
                try await cause { try await Connection.connect(to: "\(listener.endpoint)", by: face) }
                    == .system(.tooManyOpenFiles))
            #expect(ledger.open.count == 1)
            listener.close()
        }
    }

    @Test(arguments: [SystemCall.bind, .listen, .setsockopt, .getsockname, .fchmod, .stat], Kind.allCases)
    func aListenerThatCannotBeMadeLeavesNothingOpen(_ call: SystemCall, _ kind: Kind) async throws {
        try await trial { ledger in
            // The second look at the file system is the one after the bind.
            let isLook = call == .stat
            ledger.make(call, .fail(.noMemory), after: isLook ? 1 : 0)
            let endpoint = kind.endpoint
            do {
                let listener = try Listener(on: endpoint)
                // Not every kind of socket makes each of these calls.
                #expect(ledger.count(of: call) == 0)
                listener.close()
            } catch let error as SocketError {
                #expect(error.cause == .system(.noMemory))
                #expect(ledger.open.isEmpty)
                // Nor a file at its path.
                if kind == .unix { #expect(access(String(endpoint.dropFirst("unix:".count)), F_OK) == -1) }
            }
        }
    }

    @Test(arguments: [SystemCall.eventfd, .epollCreate, .epollControl], [0, 1, 2])
    func loopsThatCannotAllStartAreAllEnded(_ call: SystemCall, _ started: Int) async throws {
        try await trial { (ledger) async throws in
            ledger.make(call, .fail(.tooManyOpenFiles), after: started)
            #expect(try await cause { try EventLoopGroup(loops: 3) } == .system(.tooManyOpenFiles))
            #expect(ledger.open.isEmpty)
        }
    }

    @Test func aSocketThatThePollerRefusesFailsItsWaitAndNotTheLoop() async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            // Both directions of the other connection are registered by now.
            let group = try EventLoopGroup(loops: 1)
            let ended = try await Task(executorPreference: group.loops[0]) {
                ledger.make(.epollControl, .fail(.noMemory))
                return try await cause { try await server.receive(upTo: 9) }
            }.value
            #expect(ended == .system(.noMemory))
            let (one, other) = try Connection.pair()
            try await Task(executorPreference: group.loops[0]) {
                async let receive = one.receive(upTo: 9)
                try await other.send([1])
                #expect(try await receive == [1])
            }.value
            one.close()
            other.close()
            group.close()
        }
    }
}
