import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

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
