import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// How a client of `serveMessages` ends, and how all of them do; and that nothing is left of them.
@Suite(.inTurn, .timeLimit(.minutes(3))) struct MessageEndingTests {
    /// The error that ended each client, or nil.
    private typealias Ends = Notes<SocketError.Cause?>

    private static func note(_ ends: Ends) -> @Sendable (Connection, (any Error)?) -> Void {
        { client, error in
            if client.isClosed { ends.add((error as? SocketError)?.cause) }
        }
    }

    private static func clients(_ count: Int, of listener: Listener) async throws -> [Connection] {
        var clients: [Connection] = []
        for _ in 0..<count {
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await client.receive(upTo: 9) == [1])
            clients.append(client)
        }
        return clients
    }

    @Test(arguments: Kind.allCases)
    func everyByteBeforeTheEndIsServedAndEveryAnswerHeard(_ kind: Kind) async throws {
        try await trial { _ in
            let (listener, ends) = (try Listener(on: kind.endpoint), Ends())
            let serving = Task { try await listener.serveMessages(onClose: Self.note(ends), echoOne) }
            for size in [1, 65536, 3_000_000] {
                let client = try await Connection(to: listener.endpoint)
                let words = pattern(size)
                async let heard = client.receiveAll()
                try await client.send(words)
                try client.finishSending()
                #expect(try await heard == words)
            }
            listener.close()
            try await serving.value
            #expect(ends.all == [nil, nil, nil])
        }
    }

    @Test(arguments: Kind.allCases)
    func aBodyThatClosesLetsItsLastWordsBeHeard(_ kind: Kind) async throws {
        try await trial { _ in
            let (listener, ends) = (try Listener(on: kind.endpoint), Ends())
            let words = pattern(2_000_000)
            let serving = Task {
                try await listener.serveMessages(onClose: Self.note(ends)) { client, _ in
                    try await client.send(words)
                    await client.finishAndClose()
                }
            }
            let client = try await Connection(to: listener.endpoint)
            try await client.send("a question\n")
            #expect(try await client.receiveAll() == words)
            client.close()
            listener.close()
            try await serving.value
            #expect(ends.all == [nil])
        }
    }

    @Test(arguments: Kind.allCases)
    func closingTheListenerLetsTheClientsFinish(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serveMessages(echoOne) }
            let client = try await Self.clients(1, of: listener)[0]
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
    func cancellingEndsAllThatAreParkedAndReturns(_ kind: Kind) async throws {
        try await trial { _ in
            let (listener, ends) = (try Listener(on: kind.endpoint), Ends())
            let serving = Task { try await listener.serveMessages(onClose: Self.note(ends), echoOne) }
            let clients = try await Self.clients(50, of: listener)
            serving.cancel()
            try await serving.value
            #expect(ends.all == Array(repeating: .cancelled, count: 50))
            for client in clients { #expect(try await client.receive(upTo: 9) == nil) }
            listener.close()
        }
    }

    /// They hold all workers there are, and do not hear that they are cancelled; the others end meanwhile.
    @Test func cancellingEndsTheOthersThoughBodiesDoNotHeedIt() async throws {
        try await trial { _ in
            let (listener, ends) = (try Listener(on: "127.0.0.1:0"), Ends())
            let (held, gate) = (Counter(), Notes<CheckedContinuation<Void, Never>>())
            let serving = Task {
                try await listener.serveMessages(onClose: Self.note(ends)) { client, message in
                    if message[0] == 0 {
                        await withCheckedContinuation { waiter in
                            gate.add(waiter)
                            held.add()
                        }
                    }
                    try await client.send(message)
                }
            }
            let others = try await Self.clients(20, of: listener)
            for client in others[..<10] { try await client.send([0]) }
            try await eventually(.seconds(20), "ten bodies' wait") { held.value == 10 }
            serving.cancel()
            try await eventually(.seconds(20), "the others' end") { ends.all.count == 10 }
            for waiter in gate.all { waiter.resume() }
            try await serving.value
            #expect(ends.all.count == 20)
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func anErrorEndsItsClientAloneAndIsTold(_ kind: Kind) async throws {
        struct Odd: Error, Equatable { let byte: UInt8 }
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let (told, ends) = (Notes<Odd?>(), Notes<Odd?>())
            let serving = Task {
                try await listener.serveMessages(
                    upTo: 1, onClose: { _, error in ends.add(error as? Odd) },
                    onError: { client, error in
                        #expect(!client.isClosed)
                        told.add(error as? Odd)
                    }
                ) { client, message in
                    if message[0] % 2 == 1 { throw Odd(byte: message[0]) }
                    try await client.send(message)
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
            #expect(ends.all == [Odd(byte: 7), nil])
        }
    }

    @Test func anErrorWithoutAHandlerGoesToTheTrace() async throws {
        struct Trouble: Error, CustomStringConvertible { let description = "a bad day" }
        try await trial { _ in
            let lines = Notes<String>()
            let listener = try Listener(on: "127.0.0.1:0", trace: .lines { line in lines.add(line) })
            let serving = Task { try await listener.serveMessages { _, _ in throw Trouble() } }
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await client.receive(upTo: 9) == nil)
            listener.close()
            try await serving.value
            let local = try client.localAddress
            #expect(lines.all.contains("\(local): a bad day"))
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aParkedClientMayBeClosedFromAnywhere(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let (listener, ends, accepted) = (try Listener(on: kind.endpoint), Ends(), Notes<Connection>())
            let serving = Task {
                try await listener.serveMessages(
                    onOpen: { accepted.add($0) }, onClose: Self.note(ends), echoOne)
            }
            let clients = try await Self.clients(20, of: listener)
            let descriptors = accepted.all.compactMap(\.socketDescription?.descriptor)
            #expect(descriptors.count == 20)
            // Each echo has been heard; its body has returned when the server has the turn again.
            try await eventually { accepted.all.allSatisfy { $0.waitable.isTurnTaken(.receive) } }
            for client in accepted.all {
                switch face {
                case .task: client.close()
                case .thread: try await onThread { client.close() }
                }
            }
            for client in clients { #expect(try await client.receive(upTo: 9) == nil) }
            try await eventually(.seconds(20), "everybody's end") { ends.all.count == 20 }
            #expect(ends.all == Array(repeating: .closed, count: 20))
            try await eventually { ledger.open.isDisjoint(with: descriptors) }
            for client in clients { client.close() }
            listener.close()
            try await serving.value
        }
    }

    /// The only reference to a parked connection is the one in its own socket's word.
    @Test(arguments: Kind.allCases)
    func nothingIsLeftOfAClientThatHasEnded(_ kind: Kind) async throws {
        final class Weak: Sendable {
            nonisolated(unsafe) weak var connection: Connection?
            init(_ connection: Connection) { self.connection = connection }
        }
        try await trial { _ in
            let (listener, accepted) = (try Listener(on: kind.endpoint), Notes<Weak>())
            let serving = Task {
                try await listener.serveMessages(
                    onOpen: { accepted.add(Weak($0)) }, onError: { _, _ in }
                ) { client, message in
                    if message[0] == 2 { throw CancellationError() }
                    if message[0] == 3 { return client.close() }
                    try await client.send(message)
                }
            }
            let clients = try await Self.clients(40, of: listener)
            // Parked, all live by the reference in their word.
            #expect(accepted.all.count { $0.connection != nil } == 40)
            for (index, client) in clients.enumerated() {
                switch index % 4 {
                case 0: client.close()
                case 1: accepted.all[index].connection?.close()
                default: try await client.send([UInt8(index % 4)])
                }
            }
            try await eventually(.seconds(20), "the end of every connection") {
                accepted.all.allSatisfy { $0.connection == nil }
            }
            for client in clients { client.close() }
            let last = try await Self.clients(5, of: listener)
            serving.cancel()
            try await serving.value
            try await eventually { accepted.all.allSatisfy { $0.connection == nil } }
            for client in last { client.close() }
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func theIdleTimeoutEndsASilentClientAndEachMessageStartsItAnew(_ kind: Kind) async throws {
        try await trial { _ in
            try await withTime(.seconds(1)) { idle in
                let (listener, ends) = (try Listener(on: kind.endpoint), Ends())
                let serving = Task {
                    try await listener.serveMessages(
                        idleTimeout: idle, onClose: Self.note(ends), onError: { _, _ in }, echoOne)
                }
                let silent = try await Connection(to: listener.endpoint)
                // From before he is there: his time may begin long before this test goes on.
                let start = ContinuousClock.now
                let talker = try await Connection(to: listener.endpoint)
                var last = start
                while ContinuousClock.now - start < idle * 3 / 2 {
                    let before = last
                    last = .now
                    // Where he was too slow the server was right to end him, and another try has more time.
                    guard (try? await talker.send([1])) != nil, try await talker.receive(upTo: 9) == [1] else {
                        #expect(ContinuousClock.now - before >= idle)
                        serving.cancel()
                        try await serving.value
                        listener.close()
                        throw TooSlow()
                    }
                    try await Task.sleep(for: idle / 20)
                }
                #expect(try await silent.receive(upTo: 9) == nil)
                #expect(try await talker.receive(upTo: 9) == nil)
                #expect(ContinuousClock.now - last >= idle)
                listener.close()
                try await serving.value
                #expect(ends.all == [.timedOut, .timedOut])
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func atTheLimitTheNextClientQueuesUntilOneLeaves(_ kind: Kind) async throws {
        try await trial { _ in
            let (listener, full) = (try Listener(on: kind.endpoint), Counter())
            let serving = Task { try await listener.serveMessages(limit: 2, onFull: { full.add() }, echoOne) }
            let clients = try await Self.clients(2, of: listener)
            let third = try await Connection(to: listener.endpoint)
            try await third.send([3])
            third.receiveDeadline = .after(.milliseconds(100))
            #expect(try await cause { try await third.receive(upTo: 9) } == .timedOut)
            #expect(full.value == 1)
            third.receiveDeadline = .never
            clients[0].close()
            #expect(try await third.receive(upTo: 9) == [3])
            third.close()
            clients[1].close()
            for client in try await Self.clients(1, of: listener) { client.close() }
            listener.close()
            try await serving.value
        }
    }

    @Test func aShortageIsToldAndSurvived() async throws {
        try await trial { ledger in
            let (listener, told) = (try Listener(on: "127.0.0.1:0"), Counter())
            let serving = Task { try await listener.serveMessages(onShortage: { _ in told.add() }, echoOne) }
            let early = try await Self.clients(1, of: listener)[0]
            let calls = ledger.count(of: .accept)
            ledger.make(.accept, .fail(.tooManyOpenFiles), times: .max)
            let late = try await Connection(to: listener.endpoint)
            try await late.send([2])
            try await ledger.sees(.accept, calls + 4)
            try await early.send([3])
            #expect(try await early.receive(upTo: 9) == [3])
            ledger.letAllPass()
            #expect(try await late.receive(upTo: 9) == [2])
            #expect(told.value == 1)
            early.close()
            late.close()
            listener.close()
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func closingTheLoopsEndsTheClientsAndTheServer(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 2)
            let (listener, ends) = (try Listener(on: kind.endpoint), Ends())
            let serving = Task {
                try await cause { try await listener.serveMessages(on: group, onClose: Self.note(ends), echoOne) }
            }
            let clients = try await Self.clients(20, of: listener)
            group.close()
            #expect(try await serving.value == nil)
            #expect(ends.all == Array(repeating: .closed, count: 20))
            for client in clients { #expect(try await client.receive(upTo: 9) == nil) }
            listener.close()
        }
    }
}
