import Loops
import SocketCore
import SystemPackage
import TestSupport
import Testing

@testable import Sockets

/// What a relay of datagrams loses, it counts and goes on.
@Suite("DatagramRelay: what is lost", .inTurn, .timeLimit(.minutes(10))) struct DatagramRelayFaultTests {
    @Test(arguments: [DatagramSides(.udp4, .udp4), DatagramSides(.unixPath, .udp6)])
    func aTargetThatIsNotThereYetEndsNothing(_ sides: DatagramSides) async throws {
        try await trial { _ in
            let place = try DatagramSocket(on: sides.behind.endpoint)
            let target = place.endpoint
            place.close()
            let front = try DatagramSocket(on: sides.front.endpoint)
            let (losses, begun) = (Notes<SocketError>(), Notes<DatagramRelay>())
            let serving = Task {
                try await front.serve { session in
                    let relay = DatagramRelay(session, try await DatagramSocket(to: target)) { losses.add($0) }
                    begun.add(relay)
                    await relay.run()
                }
            }
            let client = try await DatagramSocket(to: front.endpoint)
            for round in 1...5 {
                try await client.send([UInt8(round)])
                try await eventually(patience, "refusal \(round)") { losses.all.count == round }
            }
            #expect(losses.all.allSatisfy { $0.cause == .system(.connectionRefused) })
            let relay = try #require(begun.all.first)
            #expect(begun.all.count == 1 && relay.forth.lost == 5 && relay.forth.messages == 5)
            let behind = try DatagramSocket(on: target)
            try await client.send([9])
            #expect(try await behind.receive().bytes == [9])
            #expect(relay.lost == 5)
            client.close()
            front.stopReceiving()
            try await serving.value
            front.close()
            behind.close()
        }
    }

    @Test(arguments: [DatagramKind.unixPath, .unixAbstract])
    func aUnixTargetThatGoesAndComesAgainIsFoundAgain(_ kind: DatagramKind) async throws {
        try await relayingDatagrams(DatagramSides(.udp4, kind)) { _, relayed in
            let client = try await relayed.client()
            try await client.send([1])
            #expect(try await relayed.behind.receive().bytes == [1])
            let place = relayed.behind.endpoint
            relayed.behind.close()
            for round in 1...3 {
                try await client.send([2])
                try await eventually(patience, "loss \(round)") { relayed.losses.all.count == round }
            }
            let again = try DatagramSocket(on: place)
            try await client.send([3])
            let question = try await again.receive()
            #expect(question.bytes == [3])
            try await again.send([4], to: question.sender)
            #expect(try await client.receive().bytes == [4])
            #expect(relayed.begun.all.count == 1 && relayed.losses.all.count == 3)
            client.close()
            again.close()
        }
    }

    @Test func whatIsTooLongForTheTargetIsLostAndTheNextIsNot() async throws {
        try await relayingDatagrams(DatagramSides(.unixPath, .udp4)) { _, relayed in
            let client = try await relayed.client()
            for content in [[1], pattern(70_000), [2], pattern(65_508), [3]] { try await client.send(content) }
            for expected in [[1], [2], [3]] as [[UInt8]] {
                #expect(try await relayed.behind.receive().bytes == expected)
            }
            try await eventually { relayed.losses.all.count == 2 }
            #expect(relayed.losses.all.allSatisfy { $0.cause == .system(.messageTooLong) })
            let relay = try #require(relayed.begun.all.first)
            #expect(relay.forth.lost == 2 && relay.forth.messages == 5 && relay.forth.bytes == 3)
            client.close()
        }
    }

    @Test func anAnswerThatIsTooLongForTheSenderIsLostAndTheNextIsNot() async throws {
        try await relayingDatagrams(DatagramSides(.udp4, .unixPath)) { _, relayed in
            let client = try await relayed.client()
            try await client.send([1])
            let sender = try await relayed.behind.receive().sender
            for content in [[1], pattern(70_000), [2], pattern(65_508), [3]] {
                try await relayed.behind.send(content, to: sender)
            }
            for expected in [[1], [2], [3]] as [[UInt8]] { #expect(try await client.receive().bytes == expected) }
            let relay = try #require(relayed.begun.all.first)
            try await eventually { relay.back.lost == 2 && relay.back.bytes == 3 }
            #expect(relay.back.messages == 5 && relay.back.failure == nil)
            client.close()
        }
    }

    /// Each has a socket of its own to the target, so who waits for room holds up nobody else.
    @Test func aUnixTargetThatDoesNotReadLosesWhatItIsSentAndOthersAreServed() async throws {
        try await trial { _ in
            let front = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let (deaf, good) = (
                try DatagramSocket(on: DatagramKind.unixPath.endpoint),
                try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            )
            let (losses, begun) = (Notes<SocketError>(), Notes<DatagramRelay>())
            let places = [deaf.endpoint, good.endpoint]
            let serving = Task {
                try await front.serve { session in
                    let socket = try await DatagramSocket(to: places[min(begun.all.count, 1)])
                    let relay = DatagramRelay(session, socket) { losses.add($0) }
                    begun.add(relay)
                    await relay.run()
                }
            }
            let (flooder, other) = (
                try await DatagramSocket(to: front.endpoint), try await DatagramSocket(to: front.endpoint)
            )
            let echoing = Task { try await good.serve(echoDatagrams) }
            for round in 0..<300 {
                try await flooder.send([UInt8(truncatingIfNeeded: round)])
                if round % 30 == 0 {
                    try await eventually { !begun.all.isEmpty }
                    try await other.ask([UInt8(round / 30)]) { $0 == [UInt8(round / 30)] }
                }
            }
            let relay = try #require(begun.all.first)
            try await eventually(patience, "losses") { relay.lost > 0 && !losses.all.isEmpty }
            #expect(losses.all.allSatisfy { $0.cause == .timedOut })
            // It reads again, and gets what is sent from now on.
            while try await deaf.receive(within: .milliseconds(50)) != nil {}
            try await flooder.send([77])
            while try await deaf.receive().bytes != [77] {}
            flooder.close()
            other.close()
            front.stopReceiving()
            good.stopReceiving()
            try await serving.value
            try await echoing.value
            for socket in [front, deaf, good] { socket.close() }
        }
    }

    /// He is waited for once, not for each answer.
    @Test func aUnixSenderThatDoesNotReadLosesTheRestOfABatch() async throws {
        try await relayingDatagrams(DatagramSides(.unixPath, .udp4)) { _, relayed in
            let client = try await relayed.client()
            try await client.send([1])
            let sender = try await relayed.behind.receive().sender
            let relay = try #require(relayed.begun.all.first)
            let begin = ContinuousClock.now
            while relay.back.lost < 100, ContinuousClock.now - begin < .seconds(60) {
                try await relayed.behind.send([2], to: sender)
                try await Task.sleep(for: .microseconds(500))
            }
            #expect(relay.back.lost >= 100)
            #expect(relayed.losses.all.allSatisfy { $0.cause == .timedOut })
            client.close()
        }
    }

    /// Each round costs a hop, so a datagram does not go round for ever.
    @Test(arguments: DatagramKind.udp)
    func aRelayThatIsItsOwnTargetFallsSilent(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let front = try DatagramSocket(on: kind.endpoint)
            let (losses, begun) = (Notes<SocketError>(), Counter())
            let serving = Task {
                try await front.serve { session in
                    let socket = try await DatagramSocket(to: front.endpoint)
                    begun.add()
                    await DatagramRelay(session, socket) { losses.add($0) }.run()
                }
            }
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            try await losses.waits("the last hop") { error in
                if case .misuse = error.cause { true } else { false }
            }
            #expect(begun.value <= 256)
            client.close()
            front.stopReceiving()
            try await serving.value
            front.close()
        }
    }

    /// An error may be told of a datagram that was sent before: the one at hand has then not been tried.
    @Test(arguments: [Errno.connectionRefused, .noRouteToHost, .networkUnreachable])
    func anErrorOfAnEarlierDatagramLosesThatOneOnly(_ errno: Errno) async throws {
        try await relayingDatagrams(DatagramSides(.unixPath, .udp4)) { ledger, relayed in
            let client = try await relayed.client()
            try await client.send([1])
            #expect(try await relayed.behind.receive().bytes == [1])
            let sent = ledger.count(of: .sendDatagrams)
            ledger.make(.sendDatagrams, .fail(errno))
            client.rawSend([2])
            #expect(try await relayed.behind.receive().bytes == [2])
            #expect(ledger.count(of: .sendDatagrams) == sent + 2)
            try await eventually { !relayed.losses.all.isEmpty }
            #expect(relayed.losses.all.map(\.cause) == [.system(errno)])
            client.close()
        }
    }

    @Test(arguments: DatagramSides.all, [Errno.noBufferSpace, .noMemory])
    func aShortageOfTheSystemPasses(_ sides: DatagramSides, _ errno: Errno) async throws {
        try await relayingDatagrams(sides) { ledger, relayed in
            let client = try await relayed.client()
            try await client.send([1])
            let sender = try await relayed.behind.receive().sender
            // The relay alone calls the kernel by way of the ledger.
            ledger.make(.sendDatagrams, .fail(errno), times: 1)
            client.rawSend([2])
            try await eventually { relayed.behind.hasNews }
            #expect(try await relayed.behind.receive().bytes == [2])
            try await relayed.behind.send([3], to: sender)
            try await eventually { client.hasNews }
            #expect(try await client.receive().bytes == [3])
            ledger.make(.receiveDatagrams, .fail(errno), times: 2)
            try await relayed.behind.send([4], to: sender)
            try await eventually { client.hasNews }
            #expect(try await client.receive().bytes == [4])
            #expect(relayed.begun.all.count == 1 && relayed.ended.all.isEmpty)
            client.close()
        }
    }

    /// On the clock that is given, not on the machine's.
    @Test func whatATouchedSessionIsHeardOfIsWhatKeepsIt() async throws {
        let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
        let place = SessionTable.Place(socket: socket, outbox: Outbox(), held: HeldBytes(limit: .max), queue: 4)
        let table = SessionTable(place, limit: 9, idleTimeout: .seconds(10))
        let now = System.now
        let second = 1_000_000_000 as UInt64
        var sessions: [DatagramSession] = []
        for port in 1...2 as ClosedRange<UInt16> {
            let address = try SocketAddress("127.0.0.1:\(port)")
            sessions.append(
                try #require(table.session(of: address, now: now - 60 * second, unless: { _ in false })).0)
        }
        sessions[0].touch()
        _ = table.expire(now: now)
        #expect(table.count == 1)
        #expect(try await sessions[1].receive() == nil)
        _ = table.expire(now: System.now + 11 * second)
        #expect(table.count == 0)
        socket.close()
    }
}
