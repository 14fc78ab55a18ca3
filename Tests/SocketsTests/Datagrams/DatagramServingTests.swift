import Sockets
import SystemPackage
import TestSupport
import Testing

/// `serve` for datagrams: a session for each sender, in which only his come.
@Suite(.inTurn) struct DatagramServingTests {
    @Test(arguments: DatagramKind.allCases)
    func eachSenderHasASessionOfHisOwn(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let begun = Notes<SocketAddress>()
            let serving = Task {
                try await server.serve { session in
                    begun.add(session.remoteAddress)
                    #expect(session.socket === server)
                    var number = 0 as UInt8
                    while let message = try await session.receive() {
                        try await session.send([number] + message)
                        number += 1
                    }
                }
            }
            var clients: [DatagramSocket] = []
            for _ in 0..<10 { clients.append(try await DatagramSocket(to: server.endpoint)) }
            for round in 0..<5 as Range<UInt8> {
                for (index, client) in clients.enumerated() {
                    try await client.send([round, UInt8(index)])
                    #expect(try await client.receive().bytes == [round, round, UInt8(index)])
                }
            }
            #expect(begun.all == (try clients.map { try $0.localAddress }))
            for client in clients { client.close() }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func manyTogetherComeInTheirOrder(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            for round in 0..<10 as Range<UInt8> {
                // No more than an answer's queue holds too.
                for number in 0..<8 as Range<UInt8> { try await client.send([round, number]) }
                for number in 0..<8 as Range<UInt8> { #expect(try await client.receive().bytes == [round, number]) }
            }
            server.stopReceiving()
            try await serving.value
        }
    }

    /// All of them ask at once, and each gets what is his.
    @Test(arguments: DatagramKind.allCases)
    func aThousandSendersGetTheirOwnAnswers(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let serving = Task {
                try await server.serve { session in
                    var last = -1
                    while let message = try await session.receive() {
                        let number = Int(message[4])
                        // In the order that he asked; a question may come twice, when its answer was lost.
                        #expect(number >= last)
                        last = number
                        try await session.send(message)
                    }
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1_000 {
                    let client = try await DatagramSocket(to: server.endpoint)
                    group.addTask {
                        let mark = [0x6d, UInt8(number >> 8), UInt8(number & 0xff), 0x6d]
                        for round in 0..<5 as Range<UInt8> {
                            try await client.ask(mark + [round], again: .seconds(2)) { answer in
                                #expect(Array(answer.prefix(4)) == mark)
                                return answer.last == round
                            }
                        }
                        client.close()
                    }
                }
                try await group.waitForAll()
            }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aSilentSessionEndsAndTheNextDatagramBeginsAnother(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let (begun, ended) = (Counter(), Counter())
            let start = ContinuousClock.now
            let serving = Task {
                try await server.serve(idleTimeout: .milliseconds(100)) { session in
                    begun.add()
                    while let message = try await session.receive() { try await session.send(message) }
                    ended.add()
                }
            }
            for round in 1...3 {
                try await client.send([UInt8(round)])
                #expect(try await client.receive().bytes == [UInt8(round)])
                try await eventually { ended.value == round }
                #expect(begun.value == round)
                #expect(ContinuousClock.now - start >= .milliseconds(100 * round))
            }
            server.stopReceiving()
            try await serving.value
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func whoIsNotAdmittedHasNoSessionAndHearsNothing(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let good = try await DatagramSocket(to: server.endpoint)
            let bad = try await DatagramSocket(to: server.endpoint)
            let refused = try bad.localAddress
            let begun = Notes<SocketAddress>()
            let serving = Task {
                try await server.serve(admits: { $0 != refused }) { session in
                    begun.add(session.remoteAddress)
                    try await echoDatagrams(session)
                }
            }
            for round in 0..<3 as Range<UInt8> {
                try await bad.send([round])
                try await good.send([round])
                #expect(try await good.receive().bytes == [round])
            }
            #expect(try await bad.receive(within: .milliseconds(50)) == nil)
            #expect(begun.all == [try good.localAddress])
            good.close()
            bad.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func anErrorOfABodyEndsItsSessionOnly(_ kind: DatagramKind) async throws {
        struct Broken: Error {}
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let told = Notes<SocketAddress>()
            let serving = Task {
                try await server.serve(
                    onError: { session, error in
                        #expect(error is Broken)
                        told.add(session.remoteAddress)
                    },
                    { session in
                        while let message = try await session.receive() {
                            if message == [0] { throw Broken() }
                            try await session.send(message)
                        }
                    })
            }
            let one = try await DatagramSocket(to: server.endpoint)
            let other = try await DatagramSocket(to: server.endpoint)
            for _ in 0..<3 {
                for client in [one, other] { try await client.ask([1]) { $0 == [1] } }
                try await one.send([0])
            }
            try await eventually { told.all.count == 3 }
            #expect(told.all == Array(repeating: try one.localAddress, count: 3))
            try await other.ask([2]) { $0 == [2] }
            one.close()
            other.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test func anErrorThatNobodyTakesGoesToTheTrace() async throws {
        struct Broken: Error {}
        try await trial { _ in
            let lines = Notes<String>()
            let server = try DatagramSocket(on: "udp://127.0.0.1:0", trace: .lines { lines.add($0) })
            let client = try await DatagramSocket(to: server.endpoint)
            let serving = Task { try await server.serve { _ in throw Broken() } }
            try await client.send([1])
            try await lines.waits("the error") { $0.contains("Broken") }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// A body that has had enough of one message does not take the others with it.
    @Test(arguments: DatagramKind.allCases)
    func whatABodyLeavesBeginsTheNextSession(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let got = Notes<UInt8>()
            let (sessions, atOnce) = (Counter(), Counter())
            let serving = Task {
                try await server.serve { session in
                    #expect(atOnce.add() == 1)
                    sessions.add()
                    if let message = try await session.receive() { got.add(message[0]) }
                    atOnce.add(-1)
                }
            }
            for number in 0..<50 as Range<UInt8> { try await client.send([number]) }
            try await eventually { got.all.count == 50 }
            #expect(got.all == Array(0..<50))
            #expect(sessions.value >= 50)
            server.stopReceiving()
            try await serving.value
        }
    }

    /// The daytime service (RFC 867): whatever is asked, the answer is the same.
    @Test(arguments: DatagramKind.allCases)
    func aBodyMayAnswerWithoutReceiving(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let sessions = Counter()
            let serving = Task {
                try await server.serve { session in
                    sessions.add()
                    try await session.send("noon")
                }
            }
            for round in 1...5 {
                try await client.send([1])
                #expect(try await client.receive().bytes == Array("noon".utf8))
                #expect(sessions.value == round)
            }
            #expect(try await client.receive(within: .milliseconds(50)) == nil)
            server.stopReceiving()
            try await serving.value
            #expect(sessions.value == 5)
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aBodyThatFailsBeforeItReceivesEndsItsSession(_ kind: DatagramKind) async throws {
        struct Broken: Error {}
        try await trial(over: kind) { _, client, server in
            let told = Counter()
            let serving = Task {
                try await server.serve(onError: { _, _ in told.add() }, { _ in throw Broken() })
            }
            for round in 1...5 {
                try await client.send([1])
                try await eventually { told.value == round }
            }
            server.stopReceiving()
            try await serving.value
            #expect(told.value == 5)
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aSecondServeAtTheSameTimeIsMisuse(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            try await client.send([1])
            #expect(try await client.receive().bytes == [1])
            guard case .misuse? = try await cause({ try await server.serve(echoDatagrams) }) else {
                Issue.record("a second serve was let in")
                return
            }
            try await client.send([2])
            #expect(try await client.receive().bytes == [2])
            serving.cancel()
            try await serving.value
            // One after the other is nothing wrong.
            let again = Task { try await server.serve(echoDatagrams) }
            try await client.send([3])
            #expect(try await client.receive().bytes == [3])
            server.stopReceiving()
            try await again.value
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aBodyThatMindsOtherThingsHoldsUpNobody(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let (gate, opener) = try Connection.pair()
            let (busy, done) = (Counter(), Counter())
            let serving = Task {
                try await server.serve { session in
                    guard let first = try await session.receive() else { return }
                    if first == [0] {
                        busy.add()
                        _ = try await gate.receive(upTo: 1)
                        done.add()
                    }
                    try await session.send(first)
                    try await echoDatagrams(session)
                }
            }
            let slow = try await DatagramSocket(to: server.endpoint)
            try await slow.send([0])
            try await eventually { busy.value == 1 }
            let quick = try await DatagramSocket(to: server.endpoint)
            for round in 1..<20 as Range<UInt8> {
                try await slow.send([round])
                try await quick.send([round])
                #expect(try await quick.receive().bytes == [round])
            }
            #expect(done.value == 0)
            try await opener.send([1])
            // Nothing of what came meanwhile is lost, nor out of order.
            for round in 0..<20 as Range<UInt8> { #expect(try await slow.receive().bytes == [round]) }
            for socket in [slow, quick] { socket.close() }
            server.stopReceiving()
            try await serving.value
            server.close()
            gate.close()
            opener.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aConnectedSocketServesItsPeer(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await client.serve(echoDatagrams) }
            let address = try client.localAddress
            for round in 0..<10 as Range<UInt8> {
                try await server.send([round], to: address)
                #expect(try await server.receive().bytes == [round])
            }
            client.stopReceiving()
            try await serving.value
        }
    }

    @Test func aUnixSenderWithoutANameCannotBeAnswered() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let told = Notes<SocketError.Cause>()
            let serving = Task {
                try await server.serve { session in
                    while let message = try await session.receive() {
                        let ended = try await cause {
                            try await session.send(message)
                            try await session.send(message)
                        }
                        if let ended { told.add(ended) }
                    }
                }
            }
            let path = try #require(server.endpoint.address)
            try sendUnnamed([1], to: path)
            try await eventually { !told.all.isEmpty }
            #expect(told.all == [.system(.addressRequired)])
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }
}
