import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

@Suite("DatagramRelay: streams to datagrams", .inTurn, .timeLimit(.minutes(10)))
struct StreamToDatagramsTests {
    @Test(arguments: FramedSides.all)
    func eachFrameIsADatagramAndEachAnswerAFrame(_ sides: FramedSides) async throws {
        try await relayingClients(sides) { listener, behind, begun, _ in
            let client = try await Connection(to: listener.endpoint)
            for length in [1, 2, 700, 9000] {
                let content = pattern(length, seed: UInt64(length)).map { $0 == 10 || $0 == 13 ? 1 : $0 }
                try await client.send(sides.framed(content))
                let question = try await behind.receive()
                #expect(question.bytes == content)
                try await behind.send([1, 2, 3], to: question.sender)
                let answer = sides.framed([1, 2, 3])
                #expect(try await client.receive(exactly: answer.count) == answer)
            }
            let relay = try #require(begun.all.first)
            #expect(relay.forth.messages == 4 && relay.forth.bytes == 9703)
            // What has arrived is counted a moment after it was sent.
            try await eventually { relay.back.bytes == 12 }
            #expect(relay.back.messages == 4 && relay.lost == 0)
            client.close()
        }
    }

    @Test(arguments: FramedSides.all(.lines, .length))
    func framesComeWholeHoweverTheStreamIsCutAndMayBeEmpty(_ sides: FramedSides) async throws {
        try await relayingClients(sides, upTo: 7) { listener, behind, _, _ in
            let client = try await Connection(to: listener.endpoint)
            let datagrams: [[UInt8]] = [[1], [], pattern(100).map { $0 | 0x20 }, [], [2, 3]]
            for piece in datagrams.flatMap(sides.framed) { try await client.send([piece]) }
            var sender = SocketAddress.unnamed
            for expected in datagrams {
                let datagram = try await behind.receive()
                #expect(datagram.bytes == expected)
                sender = datagram.sender
            }
            for datagram in datagrams { try await behind.send(datagram, to: sender) }
            let answer = datagrams.flatMap(sides.framed)
            #expect(try await client.receive(exactly: answer.count) == answer)
            client.close()
        }
    }

    @Test(arguments: FramedSides.all)
    func manyAtOnceAreEachAnsweredRightly(_ sides: FramedSides) async throws {
        try await relayingClients(sides) { listener, behind, _, _ in
            let echoing = Task { try await behind.serve(echoDatagrams) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in UInt8(0)..<50 {
                    let client = try await Connection(to: listener.endpoint)
                    group.addTask {
                        for round in UInt8(0)..<5 {
                            let content = sides.framed([number | 0x80, round | 0x80])
                            try await client.send(content)
                            #expect(try await client.receive(exactly: content.count) == content)
                        }
                        client.close()
                    }
                }
                try await group.waitForAll()
            }
            behind.stopReceiving()
            try await echoing.value
        }
    }

    /// Nobody says that answers end: the client's end of sending is theirs when it has been silent for a while.
    @Test(arguments: FramedSides.all)
    func answersGoOnBehindTheClientsEndUntilItIsSilent(_ sides: FramedSides) async throws {
        try await relayingClients(sides, linger: .seconds(5)) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            try client.finishSending()
            let question = try await behind.receive()
            let begin = ContinuousClock.now
            try await behind.send([7], to: question.sender)
            #expect(try await client.receiveAll() == sides.framed([7]))
            #expect(ContinuousClock.now - begin >= .seconds(5))
            try await eventually { ended.value == 1 }
            let relay = try #require(begun.all.first)
            #expect(relay.forth.failure == nil && relay.back.failure == nil)
            client.close()
        }
    }

    @Test(arguments: FramedSides.all(.lines))
    func theLastLineMayLackItsEnd(_ sides: FramedSides) async throws {
        try await relayingClients(sides, linger: .milliseconds(50)) { listener, behind, _, _ in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(Array("a\r\nb".utf8))
            try client.finishSending()
            #expect(try await behind.receive().bytes == [0x61])
            #expect(try await behind.receive().bytes == [0x62])
            #expect(try await client.receiveAll() == [])
            client.close()
        }
    }

    /// What was right before it arrives, the client sees its end, and the others notice nothing.
    @Test(arguments: FramedSides.all(.lines, .length))
    func whatIsWrongWithAFramingEndsThatClientBehindWhatWasRight(_ sides: FramedSides) async throws {
        try await relayingClients(sides, linger: .seconds(1)) { listener, behind, begun, ended in
            let (wrong, right) = (
                try await Connection(to: listener.endpoint), try await Connection(to: listener.endpoint)
            )
            try await right.send(sides.framed([1]))
            let other = try await behind.receive()
            #expect(other.bytes == [1])
            try await wrong.send(sides.framed([2]))
            let question = try await behind.receive()
            #expect(question.bytes == [2])
            let relay = try #require(begun.all.first)
            if sides.framing == .lines {
                try await wrong.send([UInt8](repeating: 0x61, count: Framing.longest + 1))
            } else {
                try await wrong.send([1, 0, 9])
                try wrong.finishSending()
            }
            try await eventually { relay.forth.failure != nil }
            try await behind.send([3], to: question.sender)
            #expect(await rest(of: wrong).bytes == sides.framed([3]))
            wrong.close()
            try await eventually { ended.value == 1 }
            let expected: SocketError.Cause =
                sides.framing == .lines ? .lineTooLong(limit: Framing.longest) : .ended(received: 3)
            #expect(relay.forth.failure?.cause == expected)
            try await behind.send([4], to: other.sender)
            let answer = sides.framed([4])
            #expect(try await right.receive(exactly: answer.count) == answer)
            right.close()
        }
    }

    @Test(arguments: FramedSides.all)
    func anAnswerThatTheFramingCannotCarryIsLostAndTheNextIsNot(_ sides: FramedSides) async throws {
        try await relayingClients(sides) { listener, behind, begun, _ in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            let question = try await behind.receive()
            switch sides.framing {
            case .lines:
                for wrong in [[65, 10, 66], [10], [13]] as [[UInt8]] {
                    try await behind.send(wrong, to: question.sender)
                }
            case .length:
                // More than UDP carries has no way here.
                guard sides.datagrams.isUnix else { return client.close() }
                try await behind.send(pattern(65536), to: question.sender)
            case .none: try await behind.send([], to: question.sender)
            }
            try await behind.send([7], to: question.sender)
            let answer = sides.framed([7])
            #expect(try await client.receive(exactly: answer.count) == answer)
            let lost: UInt64 = sides.framing == .lines ? 3 : 1
            let relay = try #require(begun.all.first)
            try await eventually { relay.back.bytes == 1 }
            #expect(relay.back.lost == lost && relay.back.messages == lost + 1)
            client.close()
        }
    }

    @Test(arguments: [FramedSides(stream: .tcp4, datagrams: .udp4, framing: .lines)])
    func aTargetThatIsNotThereIsCountedAndEndsNothing(_ sides: FramedSides) async throws {
        try await relayingClients(sides) { listener, behind, begun, ended in
            let place = behind.endpoint
            behind.close()
            let client = try await Connection(to: listener.endpoint)
            for round in 1...3 as ClosedRange<UInt64> {
                try await client.send(sides.framed([1]))
                try await eventually { begun.all.first.map { $0.lost == round } ?? false }
            }
            let again = try DatagramSocket(on: place)
            try await client.send(sides.framed([2]))
            #expect(try await again.receive().bytes == [2])
            #expect(ended.value == 0)
            again.close()
            client.close()
        }
    }

    @Test(arguments: FramedSides.all)
    func aClientThatResetsEndsItsRelay(_ sides: FramedSides) async throws {
        try await relayingClients(sides) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            _ = try await behind.receive()
            try client.reset()
            if sides.stream == .unix {
                // It is an end there.
                try await eventually { begun.all.first != nil }
            } else {
                try await eventually { ended.value == 1 }
                #expect(begun.all.first?.forth.failure?.isReset == true)
            }
        }
    }

    @Test(arguments: FramedSides.all(.length))
    func aSilentClientEndsAfterItsIdleTime(_ sides: FramedSides) async throws {
        try await relayingClients(sides, idleTimeout: .milliseconds(100)) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            _ = try await behind.receive()
            let rest = await rest(of: client)
            #expect(rest.bytes == [] && rest.cause == (sides.stream == .unix ? nil : .system(.connectionReset)))
            try await eventually { ended.value == 1 }
            #expect(begun.all.first?.forth.failure?.cause == .timedOut)
            client.close()
        }
    }

    /// Not even the silence behind its end ends who does not read; a limit does.
    @Test(arguments: FramedSides.all(.none))
    func aClientThatDoesNotReadIsHeldBackAndEndsWithItsIdleTime(_ sides: FramedSides) async throws {
        try await relayingClients(sides, idleTimeout: .milliseconds(500)) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            let question = try await behind.receive()
            let flooding = Task {
                let content = pattern(8000)
                while ended.value == 0 {
                    _ = try? await behind.send(content, to: question.sender)
                    await Task.yield()
                }
            }
            try await eventually { ended.value == 1 }
            await flooding.value
            client.close()
        }
    }
}
