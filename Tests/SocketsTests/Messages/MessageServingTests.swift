@testable import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// `serveMessages`: a call for each message, in order, whatever the call does.
@Suite(.inTurn, .timeLimit(.minutes(3))) struct MessageServingTests {
    @Test(arguments: Kind.allCases)
    func everyClientIsServedThoughOthersSayNothing(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task { try await listener.serveMessages(echoOne) }
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
    func aThousandClientsAreServedAgainAndAgain(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 2)
            let listener = try Listener(on: kind.endpoint)
            let ended = Counter()
            let serving = Task {
                try await listener.serveMessages(on: group, onClose: { _, _ in ended.add() }, echoOne)
            }
            var clients: [Connection] = []
            for _ in 0..<1000 { clients.append(try await Connection(to: listener.endpoint)) }
            for round in 0..<3 as Range<UInt8> {
                for client in clients { try await client.send([round]) }
                for client in clients { #expect(try await client.receive(upTo: 9) == [round]) }
            }
            for client in clients { client.close() }
            try await eventually(.seconds(30), "everybody's end") { ended.value == 1000 }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// The bodies wait between the messages, in different ways; still each is called after the one before has returned.
    @Test(arguments: Kind.allCases)
    func theMessagesOfAClientComeInOrderOneAtATime(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let (under, doubled) = (Counter(), Counter())
            let got = Lock<[UInt8]>([])
            let serving = Task {
                try await listener.serveMessages(upTo: 97) { client, message in
                    if under.add() != 1 { doubled.add() }
                    switch message.count % 3 {
                    case 0: await Task.yield()
                    case 1: try await EventLoop.sleep(for: .microseconds(50))
                    default: break
                    }
                    got.withLock { $0 += message }
                    under.add(-1)
                    try await client.send([UInt8(truncatingIfNeeded: message.count)])
                }
            }
            let client = try await Connection(to: listener.endpoint)
            let words = pattern(50_000)
            async let heard = client.receiveAll()
            for start in stride(from: 0, to: words.count, by: 61) {
                try await client.send(Array(words[start..<min(start + 61, words.count)]))
            }
            try client.finishSending()
            #expect(try await heard.reduce(0) { $0 + Int($1) } == words.count)
            #expect(got.withLock { $0 } == words)
            #expect(doubled.value == 0)
            listener.close()
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func bodiesThatWaitForLongHoldUpNobody(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let (gate, held) = (try Connection.pair(), Counter())
            let serving = Task {
                try await listener.serveMessages(on: group) { client, message in
                    if message[0] == 0 {
                        held.add()
                        // All wait for one turn, and for a byte that does not come.
                        _ = try? await gate.0.receive(upTo: 1)
                    }
                    try await client.send(message)
                }
            }
            var waiting: [Connection] = []
            for _ in 0..<60 {
                let client = try await Connection(to: listener.endpoint)
                try await client.send([0])
                waiting.append(client)
            }
            try await eventually(.seconds(20), "everybody's wait") { held.value == 60 }
            let quick = try await Connection(to: listener.endpoint)
            for round in 1..<50 as Range<UInt8> {
                try await quick.send([round])
                #expect(try await quick.receive(upTo: 9) == [round])
            }
            gate.0.close()
            for client in waiting { #expect(try await client.receive(upTo: 9) == [0]) }
            // The workers that came for them have gone or rest; all is as before.
            try await quick.send([99])
            #expect(try await quick.receive(upTo: 9) == [99])
            for client in waiting + [quick] { client.close() }
            listener.close()
            try await serving.value
            gate.1.close()
            group.close()
        }
    }

    @Test(arguments: Kind.allCases)
    func aBodyMayReceiveTheRestOfItsMessageItself(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let serving = Task {
                try await listener.serveMessages(upTo: 1) { client, length in
                    guard let rest = try await client.receive(exactly: Int(length[0])) else { return }
                    try await client.send(rest + [0])
                }
            }
            let client = try await Connection(to: listener.endpoint)
            // Together, apart, and several at once.
            try await client.send([3, 7, 8, 9])
            #expect(try await client.receive(exactly: 4) == [7, 8, 9, 0])
            try await client.send([2])
            try await client.send([5])
            try await client.send([6, 1])
            try await client.send([4, 1, 2])
            #expect(try await client.receive(exactly: 7) == [5, 6, 0, 4, 0, 2, 0])
            // An end in the middle is the body's to meet.
            try await client.send([9, 1])
            try client.finishSending()
            #expect(try await client.receive(upTo: 9) == nil)
            listener.close()
            try await serving.value
        }
    }

    /// While a client is parked the server is receiving; who asks too gets what comes next, as with two receives anywhere.
    @Test(arguments: Kind.allCases)
    func anotherTaskThatReceivesWaitsBehindTheServer(_ kind: Kind) async throws {
        try await trial { ledger in
            let listener = try Listener(on: kind.endpoint)
            let accepted = Notes<Connection>()
            let got = Notes<[UInt8]>()
            let serving = Task {
                try await listener.serveMessages(onOpen: { accepted.add($0) }) { _, message in got.add(message) }
            }
            let client = try await Connection(to: listener.endpoint)
            try await eventually { !accepted.all.isEmpty }
            let served = accepted.all[0]
            // The server has looked, found nothing, and parked it.
            try await ledger.sees(.receive)
            try await eventually { served.waitable.isTurnTaken(.receive) }
            let given = Task { try await served.receive(upTo: 9) }
            try await eventually { served.waitable.extras?.turns.isEmpty == false }
            try await client.send([1])
            try await got.waits("the first") { $0 == [1] }
            try await client.send([2])
            #expect(try await given.value == [2])
            try await client.send([3])
            try await got.waits("the third") { $0 == [3] }
            client.close()
            listener.close()
            try await serving.value
        }
    }

    @Test(arguments: Kind.allCases)
    func onOpenComesFirstAndMayGreet(_ kind: Kind) async throws {
        struct Unwelcome: Error {}
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let (number, failures) = (Counter(), Notes<Bool>())
            let serving = Task {
                try await listener.serveMessages(
                    onOpen: { client in
                        if number.add() == 2 { throw Unwelcome() }
                        try await client.send("welcome")
                    }, onClose: { _, error in failures.add(error is Unwelcome) }, onError: { _, _ in }, echoOne)
            }
            let first = try await Connection(to: listener.endpoint)
            #expect(try await first.receive(exactly: 7) == Array("welcome".utf8))
            let second = try await Connection(to: listener.endpoint)
            #expect(try await second.receive(upTo: 9) == nil)
            try await first.send([1])
            #expect(try await first.receive(upTo: 9) == [1])
            first.close()
            listener.close()
            try await serving.value
            #expect(failures.all == [true, false])
        }
    }

    @Test(arguments: Kind.allCases)
    func inHalfDuplexTheBodySpeaksInItsTurn(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint, duplex: .half)
            let serving = Task { try await listener.serveMessages(echoOne) }
            let client = try await Connection(to: listener.endpoint)
            for round in 0..<20 as Range<UInt8> {
                try await client.send([round])
                #expect(try await client.receive(upTo: 9) == [round])
            }
            client.close()
            listener.close()
            try await serving.value
        }
    }

    @Test func theBodiesRunOnTheirClientsLoopsEvenly() async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 3)
            let listener = try Listener(on: "127.0.0.1:0")
            let names = Notes<String>()
            let serving = Task {
                try await listener.serveMessages(on: group) { client, message in
                    names.add(EventLoop.current?.name ?? "none")
                    try await client.send(message)
                }
            }
            var clients: [Connection] = []
            for _ in 0..<30 { clients.append(try await Connection(to: listener.endpoint)) }
            for _ in 0..<2 {
                for client in clients { try await client.send([1]) }
                for client in clients { #expect(try await client.receive(upTo: 9) == [1]) }
            }
            let counts = Dictionary(grouping: names.all, by: { $0 }).mapValues(\.count)
            #expect(counts == Dictionary(uniqueKeysWithValues: group.loops.map { ($0.name, 20) }))
            for client in clients { client.close() }
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// A wait of a parked client is told as any other, with its time and what ended it.
    @Test(arguments: Kind.allCases)
    func theTraceTellsTheWaits(_ kind: Kind) async throws {
        try await trial { ledger in
            let lines = Notes<String>()
            let listener = try Listener(on: kind.endpoint, trace: .lines { lines.add($0) })
            let serving = Task { try await listener.serveMessages(echoOne) }
            let client = try await Connection(to: listener.endpoint)
            // It has looked once, and waits.
            try await ledger.sees(.receive)
            let start = ContinuousClock.now
            try await eventually { ContinuousClock.now - start > .milliseconds(100) }
            for _ in 0..<2 {
                try await client.send([1, 2, 3])
                #expect(try await client.receive(upTo: 9) == [1, 2, 3])
            }
            client.close()
            try await lines.waits("the end") { $0.contains("closed fd") }
            let told = lines.all.filter { $0.contains(": receive ") }
            #expect(told.count == 3, "\(lines.all)")
            #expect(told[0].contains("waited") && told[0].hasSuffix("until 3 bytes came"))
            #expect(!told[0].contains("waited 0.00"), "\(told[0])")
            #expect(told[1].hasSuffix("3 bytes came"))
            #expect(told[2].hasSuffix("the peer finished sending"))
            listener.close()
            try await serving.value
        }
    }
}

@Sendable func echoOne(_ client: Connection, _ message: [UInt8]) async throws {
    try await client.send(message)
}
