import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A kind of stream on one side, a kind of datagrams on the other, and how they are framed.
struct FramedSides: Sendable, CustomTestStringConvertible {
    let stream: Kind
    let datagrams: DatagramKind
    let framing: Framing

    static let all = Framing.allCases.flatMap { framing in
        [(Kind.tcp4, DatagramKind.udp4), (.tcp6, .unixPath), (.unix, .udp6), (.unix, .unixAbstract)].map {
            FramedSides(stream: $0.0, datagrams: $0.1, framing: framing)
        }
    }

    static func all(_ framings: Framing...) -> [FramedSides] { all.filter { framings.contains($0.framing) } }

    var testDescription: String { "\(stream)-\(datagrams)-\(framing.rawValue)" }

    /// As it stands in the stream.
    func framed(_ datagram: [UInt8]) -> [UInt8] {
        switch framing {
        case .lines: datagram + [10]
        case .length: [UInt8(datagram.count >> 8), UInt8(datagram.count & 0xff)] + datagram
        case .none: datagram
        }
    }
}

/// Every client of a stream joined to a datagram socket of its own.
private func relayingClients(
    _ sides: FramedSides, upTo size: Int = 65536, idleTimeout: Duration? = nil, linger: Duration = .seconds(600),
    _ body:
        @escaping @Sendable (
            _ listener: Listener, _ behind: DatagramSocket, _ begun: Notes<DatagramRelay>, _ ended: Counter
        ) async throws -> Void
) async throws {
    try await trial { _ in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let listener = try Listener(on: sides.stream.endpoint)
        let behind = try DatagramSocket(on: sides.datagrams.endpoint)
        let (begun, ended) = (Notes<DatagramRelay>(), Counter())
        let target = behind.endpoint
        let serving = Task {
            try await listener.serve(on: group) { client in
                let relay = DatagramRelay(
                    client, try await DatagramSocket(to: target), framing: sides.framing, upTo: size,
                    idleTimeout: idleTimeout, linger: linger)
                begun.add(relay)
                await relay.run()
                ended.add()
            }
        }
        defer { behind.close() }
        do {
            try await body(listener, behind, begun, ended)
        } catch {
            serving.cancel()
            _ = try? await serving.value
            throw error
        }
        listener.close()
        serving.cancel()
        try await within(patience, "the end of serving") { _ = try? await serving.value }
    }
}

/// Every sender of datagrams joined to a stream of its own.
private func relayingSenders(
    _ sides: FramedSides, idleTimeout: Duration = .seconds(600), linger: Duration = .seconds(600),
    _ body:
        @escaping @Sendable (
            _ front: DatagramSocket, _ listener: Listener, _ begun: Notes<DatagramRelay>, _ ended: Counter
        ) async throws -> Void
) async throws {
    try await trial { _ in
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let listener = try Listener(on: sides.stream.endpoint)
        let front = try DatagramSocket(on: sides.datagrams.endpoint)
        let (begun, ended) = (Notes<DatagramRelay>(), Counter())
        let target = listener.endpoint
        let serving = Task {
            try await front.serve(on: group, idleTimeout: idleTimeout) { session in
                let relay = DatagramRelay(
                    session, try await Connection(to: target), framing: sides.framing, linger: linger)
                begun.add(relay)
                await relay.run()
                ended.add()
            }
        }
        defer { listener.close() }
        do {
            try await body(front, listener, begun, ended)
        } catch {
            serving.cancel()
            _ = try? await serving.value
            throw error
        }
        serving.cancel()
        try await within(patience, "the end of serving") { _ = try? await serving.value }
        front.close()
    }
}

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
            #expect(relay.back.messages == 4 && relay.back.bytes == 12 && relay.lost == 0)
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
        try await relayingClients(sides, linger: .milliseconds(200)) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            try client.finishSending()
            let question = try await behind.receive()
            let begin = ContinuousClock.now
            try await behind.send([7], to: question.sender)
            #expect(try await client.receiveAll() == sides.framed([7]))
            #expect(ContinuousClock.now - begin >= .milliseconds(200))
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
        try await relayingClients(sides, linger: .milliseconds(100)) { listener, behind, begun, ended in
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
            #expect(relay.back.lost == lost && relay.back.messages == lost + 1 && relay.back.bytes == 1)
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
            #expect(try await client.receiveAll() == [])
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

@Suite("DatagramRelay: datagrams to streams", .inTurn, .timeLimit(.minutes(10)))
struct DatagramsToStreamTests {
    @Test(arguments: FramedSides.all)
    func eachSenderHasAStreamOfItsOwn(_ sides: FramedSides) async throws {
        try await relayingSenders(sides) { front, listener, begun, _ in
            var pairs: [(DatagramSocket, Connection)] = []
            for number in UInt8(1)...3 {
                let client = try await DatagramSocket(to: front.endpoint)
                try await client.send([number])
                let target = try await listener.accept()
                let first = sides.framed([number])
                #expect(try await target.receive(exactly: first.count) == first)
                pairs.append((client, target))
            }
            for (number, (client, target)) in pairs.enumerated() {
                let content = [UInt8(number) + 40, 2, 3]
                try await target.send(sides.framed(content))
                #expect(try await client.receive().bytes == content)
                try await client.send(content)
                #expect(try await target.receive(exactly: sides.framed(content).count) == sides.framed(content))
            }
            #expect(begun.all.count == 3 && begun.all.allSatisfy { $0.lost == 0 && $0.forth.messages == 2 })
            for (client, target) in pairs {
                client.close()
                target.close()
            }
        }
    }

    @Test(arguments: FramedSides.all(.lines, .length))
    func theTargetsEndEndsTheSessionAndTheNextDatagramBeginsAnother(_ sides: FramedSides) async throws {
        try await relayingSenders(sides) { front, listener, begun, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            for round in 1...3 {
                try await client.send([UInt8(round)])
                let target = try await listener.accept()
                #expect(try await target.receive(upTo: 99) == sides.framed([UInt8(round)]))
                try await target.send(sides.framed([1]) + sides.framed([]) + sides.framed([2]))
                try target.finishSending()
                for expected in [[1], [], [2]] as [[UInt8]] { #expect(try await client.receive().bytes == expected) }
                try await eventually { ended.value == round }
                #expect(begun.all.count == round && begun.all.last?.back.failure == nil)
                target.close()
            }
            client.close()
        }
    }

    @Test(arguments: FramedSides.all)
    func aSilentSendersStreamIsToldItsEndAndItsAnswersStillArrive(_ sides: FramedSides) async throws {
        try await relayingSenders(sides, idleTimeout: .milliseconds(100)) { front, listener, _, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            #expect(try await target.receiveAll() == sides.framed([1]))
            try await target.send(sides.framed([9]))
            #expect(try await client.receive().bytes == [9])
            #expect(ended.value == 0)
            target.close()
            try await eventually { ended.value == 1 }
            client.close()
        }
    }

    @Test(arguments: FramedSides.all)
    func aStreamThatIsSilentBehindTheSessionsEndIsClosed(_ sides: FramedSides) async throws {
        try await relayingSenders(
            sides, idleTimeout: .milliseconds(100), linger: .milliseconds(100)
        ) { front, listener, begun, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            #expect(try await target.receiveAll() == sides.framed([1]))
            try await eventually { ended.value == 1 }
            #expect(begun.all.first?.forth.failure == nil && begun.all.first?.back.failure == nil)
            target.close()
            client.close()
        }
    }

    @Test(arguments: FramedSides.all(.lines, .length))
    func whatTheFramingCannotCarryIsLostAndTheNextIsNot(_ sides: FramedSides) async throws {
        try await relayingSenders(sides) { front, listener, begun, _ in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            #expect(try await target.receive(upTo: 99) == sides.framed([1]))
            if sides.framing == .lines {
                try await client.send([65, 10, 66])
            } else {
                guard sides.datagrams.isUnix else {
                    target.close()
                    return client.close()
                }
                try await client.send(pattern(65536))
            }
            try await client.send([2])
            #expect(try await target.receive(upTo: 99) == sides.framed([2]))
            #expect(begun.all.first?.forth.lost == 1)
            target.close()
            client.close()
        }
    }

    @Test(arguments: FramedSides.all(.length))
    func aTargetsCutFrameEndsTheSessionBehindWhatWasWhole(_ sides: FramedSides) async throws {
        try await relayingSenders(sides) { front, listener, begun, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            try await target.send(sides.framed([7]) + [0, 9, 1])
            #expect(try await client.receive().bytes == [7])
            try target.finishSending()
            try await eventually { ended.value == 1 }
            #expect(begun.all.first?.back.failure?.cause == .ended(received: 3))
            target.close()
            client.close()
        }
    }

    @Test(arguments: FramedSides.all(.none))
    func aTargetThatResetsEndsTheSession(_ sides: FramedSides) async throws {
        guard sides.stream != .unix else { return }
        try await relayingSenders(sides) { front, listener, begun, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            #expect(try await target.receive(upTo: 9) == [1])
            try target.reset()
            try await eventually { ended.value == 1 }
            #expect(begun.all.first?.back.failure?.isReset == true)
            client.close()
        }
    }

    /// What a stream's peer does not read is held up to the session's queue, then lost; and the session's end is the stream's.
    @Test(arguments: FramedSides.all(.none))
    func aTargetThatDoesNotReadLosesWhatIsSentAndEndsWithTheSession(_ sides: FramedSides) async throws {
        try await relayingSenders(
            sides, idleTimeout: .milliseconds(300), linger: .milliseconds(100)
        ) { front, listener, begun, ended in
            let client = try await DatagramSocket(to: front.endpoint)
            try await client.send([1])
            let target = try await listener.accept()
            try target.setOption(.receiveBuffer, to: 4096)
            let content = pattern(8000)
            // A machine that is slow may have had it begin anew.
            while !begun.all.contains(where: { $0.lost > 0 }) {
                _ = client.rawSend(content)
                try await Task.sleep(for: .microseconds(100))
            }
            // Nobody speaks any more.
            try await eventually { ended.value >= 1 }
            target.close()
            client.close()
        }
    }
}
