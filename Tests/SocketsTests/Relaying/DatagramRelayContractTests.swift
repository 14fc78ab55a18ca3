import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// What every relay of datagrams does, over each kind on either side.
@Suite("DatagramRelay: its contract", .inTurn, .timeLimit(.minutes(10))) struct DatagramRelayContractTests {
    @Test(arguments: DatagramSides.all)
    func answersGoToTheRightSenders(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides) { _, relayed in
            let answering = relayed.answering { Array("re: ".utf8) + $0.bytes }
            var clients: [DatagramSocket] = []
            for _ in 0..<10 { clients.append(try await relayed.client()) }
            for round in UInt8(0)..<5 {
                for (number, client) in clients.enumerated() { try await client.send([round, UInt8(number)]) }
                // Those that it is connected to are the only ones that a client hears: so from where it sent to.
                for (number, client) in clients.enumerated() {
                    #expect(try await client.receive().bytes == Array("re: ".utf8) + [round, UInt8(number)])
                }
            }
            #expect(relayed.begun.all.count == 10)
            for relay in relayed.begun.all {
                // What has arrived is counted a moment after it was sent.
                try await eventually { relay.back.bytes == 30 }
                #expect(relay.forth.messages == 5 && relay.forth.bytes == 10)
                #expect(relay.back.messages == 5)
                #expect(relay.lost == 0 && relay.forth.failure == nil && relay.back.failure == nil)
            }
            for client in clients { client.close() }
            relayed.behind.stopReceiving()
            await answering.value
        }
    }

    @Test(arguments: ["127.0.0.1", "127.0.0.5"])
    func anAnswerLeavesFromTheAddressThatWasAsked(_ host: String) async throws {
        try await trial { _ in
            let front = try DatagramSocket(on: "udp://:0")
            let behind = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let serving = Task {
                try await front.serve { session in
                    await DatagramRelay(session, try await DatagramSocket(to: behind.endpoint)).run()
                }
            }
            let client = try await DatagramSocket(to: "udp://\(host):\(try #require(try front.localAddress.port))")
            let echoing = Task { try await behind.serve(echoDatagrams) }
            for round in 0..<5 as Range<UInt8> { try await client.ask([round]) { $0 == [round] } }
            client.close()
            front.stopReceiving()
            behind.stopReceiving()
            try await serving.value
            try await echoing.value
            front.close()
            behind.close()
        }
    }

    @Test(arguments: DatagramSides.all)
    func theOrderInASessionStays(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides) { _, relayed in
            let client = try await relayed.client()
            for round in UInt8(0)..<20 {
                // No more at once than a Unix queue holds.
                for number in UInt8(0)..<8 { try await client.send([round, number]) }
                var sender = SocketAddress.unnamed
                for number in UInt8(0)..<8 {
                    let datagram = try await relayed.behind.receive()
                    #expect(datagram.bytes == [round, number])
                    sender = datagram.sender
                }
                for number in UInt8(0)..<8 { try await relayed.behind.send([number, round], to: sender) }
                for number in UInt8(0)..<8 { #expect(try await client.receive().bytes == [number, round]) }
            }
            #expect(relayed.begun.all.count == 1 && relayed.losses.all.isEmpty)
            client.close()
        }
    }

    @Test(arguments: DatagramSides.all)
    func datagramsOfAnyLengthKeepTheirBorders(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides) { _, relayed in
            let client = try await relayed.client()
            let answering = relayed.answering { $0.bytes }
            for length in [0, 1, 0, 1472, 9000, 65507, 0] {
                let content = pattern(length, seed: UInt64(length))
                try await client.ask(content) { $0 == content }
            }
            client.close()
            relayed.behind.stopReceiving()
            await answering.value
        }
    }

    @Test(arguments: DatagramSides.all)
    func aSilentSessionEndsWithItsSocketAndTheNextDatagramBeginsAnother(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides, idleTimeout: .milliseconds(100)) { ledger, relayed in
            let client = try await relayed.client()
            let before = ledger.open.count
            for round in 1...3 {
                try await client.send([UInt8(round)])
                let question = try await relayed.behind.receive()
                #expect(question.bytes == [UInt8(round)])
                try await eventually(patience, "the end of session \(round)") { relayed.ended.all.count == round }
                #expect(ledger.open.count == before && relayed.begun.all.count == round)
            }
            client.close()
        }
    }

    /// The times are the machine's: a session that ended because the test was too slow proves nothing.
    @Test(arguments: DatagramSides.all, [true, false])
    func eitherDirectionKeepsASession(_ sides: DatagramSides, fromTheSender: Bool) async throws {
        try await withTime(.milliseconds(400)) { idle in
            try await relayingDatagrams(sides, idleTimeout: idle) { _, relayed in
                let client = try await relayed.client()
                // From here: the session may be as old.
                let begin = ContinuousClock.now
                try await client.send([0])
                let sender = try await relayed.behind.receive().sender
                var (last, longest) = (begin, Duration.zero)
                do {
                    while ContinuousClock.now - begin < idle * 4 {
                        try await Task.sleep(for: idle / 10)
                        let (from, to) = fromTheSender ? (client, relayed.behind) : (relayed.behind, client)
                        try await from.send([1], to: fromTheSender ? nil : sender)
                        if try await to.receive(within: idle) == nil { throw NeverHappened(what: "a datagram") }
                        longest = max(longest, ContinuousClock.now - last)
                        last = .now
                    }
                    if longest < idle / 2 {
                        #expect(relayed.begun.all.count == 1 && relayed.ended.all.isEmpty)
                    }
                } catch {
                    // Where nothing came, that was waited for.
                    longest = max(longest, ContinuousClock.now - last - (error is NeverHappened ? idle : .zero))
                    if longest < idle / 2 { throw error }
                }
                if longest >= idle / 2 { throw TooSlow() }
                client.close()
            }
        }
    }

    @Test(arguments: DatagramSides.all)
    func atTheLimitTheOneThatIsSilentForLongestMakesRoom(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides, limit: 2) { _, relayed in
            let answering = relayed.answering { $0.bytes }
            var clients: [DatagramSocket] = []
            for _ in 0..<3 { clients.append(try await relayed.client()) }
            for number in [0, 1, 0] { try await clients[number].ask([UInt8(number)]) { $0 == [UInt8(number)] } }
            #expect(relayed.ended.all.isEmpty)
            try await clients[2].ask([2]) { $0 == [2] }
            try await eventually { relayed.ended.all.count == 1 }
            #expect(relayed.ended.all.first === relayed.begun.all[1])
            try await clients[0].ask([0]) { $0 == [0] }
            #expect(relayed.begun.all.count == 3)
            for client in clients { client.close() }
            relayed.behind.stopReceiving()
            await answering.value
        }
    }

    @Test(arguments: DatagramSides.all)
    func aCancellationEndsAllAtOnce(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides) { ledger, relayed in
            let client = try await relayed.client()
            let before = ledger.open.count
            try await client.send([1])
            _ = try await relayed.behind.receive()
            relayed.cancel()
            _ = try? await relayed.end()
            #expect(ledger.open.count == before)
            #expect(relayed.ended.all.count == 1)
            relayed.front.close()
            client.close()
        }
    }

    /// Whom it knows it serves on, and whom it does not know it does not begin with.
    @Test(arguments: DatagramSides.all)
    func finishingItServesThoseWhomItKnowsUntilTheyAreSilent(_ sides: DatagramSides) async throws {
        try await withTime(.milliseconds(300)) { silence in
            try await relayingDatagrams(sides) { _, relayed in
                let (known, late) = (try await relayed.client(), try await relayed.client())
                let answering = relayed.answering { $0.bytes }
                try await known.ask([1]) { $0 == [1] }
                relayed.front.finishServing(afterSilence: silence)
                let begin = ContinuousClock.now
                try await late.send([2])
                try await known.send([3])
                if try await known.receive(within: silence)?.bytes != [3] { throw TooSlow() }
                try await relayed.end()
                #expect(ContinuousClock.now - begin >= silence)
                #expect(relayed.begun.all.count == 1)
                #expect(try await late.receive(within: .milliseconds(1)) == nil)
                known.close()
                late.close()
                relayed.behind.stopReceiving()
                await answering.value
            }
        }
    }

    @Test func finishingWithoutSendersIsTheEndAtOnce() async throws {
        try await relayingDatagrams(DatagramSides(.udp4, .udp4)) { _, relayed in
            let client = try await relayed.client()
            let answering = relayed.answering { $0.bytes }
            try await client.ask([1]) { $0 == [1] }
            client.close()
            relayed.front.finishServing(afterSilence: .zero)
            try await relayed.end()
            relayed.behind.stopReceiving()
            await answering.value
        }
    }

    /// A thousand over UDP. The queue of a Unix socket has ten places, and each that becomes free wakes all who wait for it.
    @Test(arguments: DatagramSides.all)
    func aCrowdAtOnceGetsItsOwnAnswersAndLeavesNothing(_ sides: DatagramSides) async throws {
        try await relayingDatagrams(sides) { ledger, relayed in
            let crowd = sides.front.isUnix ? 100 : 1_000
            let answering = relayed.answering { Array($0.bytes.reversed()) }
            let before = ledger.open.count
            var clients: [DatagramSocket] = []
            for _ in 0..<crowd { clients.append(try await relayed.client()) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, client) in clients.enumerated() {
                    group.addTask {
                        let mark = [0x6d, UInt8(number >> 8), UInt8(number & 0xff), 0x6d]
                        for round in 0..<3 as Range<UInt8> {
                            try await client.ask(mark + [round], again: .seconds(2)) { answer in
                                #expect(Array(answer.suffix(4)) == mark.reversed())
                                return answer.first == round
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(relayed.begun.all.count == crowd)
            for client in clients { client.close() }
            relayed.front.finishServing(afterSilence: .milliseconds(10))
            try await relayed.end()
            #expect(relayed.ended.all.count == crowd)
            #expect(ledger.open.count == before)
            relayed.behind.stopReceiving()
            await answering.value
        }
    }
}
