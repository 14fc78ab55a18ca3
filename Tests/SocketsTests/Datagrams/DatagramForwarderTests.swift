import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A network that loses, doubles and swaps, seeded so that a failure can be run again.
@Suite("C5: datagrams that are lost, doubled or come out of order", .inTurn)
struct DatagramForwarderTests {
    @Test(arguments: DatagramKind.udp, [1, 2, 3] as [UInt64])
    func comeAsTheNetworkMadeThemAndNeverMixed(_ kind: DatagramKind, _ seed: UInt64) async throws {
        try await trial { _ in
            let forwarder = try await Forwarder(kind, seed: seed)
            let receiver = forwarder.receiver
            let sender = try await DatagramSocket(to: forwarder.inside.endpoint)
            let forwarding = Task { try await forwarder.run() }
            var received: [[UInt8]] = []
            let count = 150
            for number in 0..<count {
                try await sender.send(
                    [UInt8(number >> 8), UInt8(number & 0xff)] + pattern(number % 97, seed: UInt64(number)))
                // In step, so that no kernel's queue loses one that the forwarder does not know of.
                try await eventually { forwarder.seen.value == number + 1 }
                while received.count < forwarder.sent.all.count {
                    received.append(try await receiver.receive().bytes)
                }
            }
            // One that was held back to be swapped goes at the end.
            try await sender.send([0xff, 0xff])
            try await forwarding.value
            while received.count < forwarder.sent.all.count { received.append(try await receiver.receive().bytes) }
            #expect(received == forwarder.sent.all)
            #expect(try await receiver.receive(within: .milliseconds(50)) == nil)
            // It did what it is there for.
            let numbers = received.map { Int($0[0]) << 8 | Int($0[1]) }
            #expect(Set(numbers).count < count)
            #expect(Set(numbers).count < numbers.count)
            #expect(numbers != numbers.sorted())
            sender.close()
            forwarder.close()
        }
    }

    /// A client that asks again is answered at last, by a server that answers each question that it sees.
    @Test(arguments: DatagramKind.udp)
    func areAskedForAgain(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let serving = Task { try await server.serve(echoDatagrams) }
            let client = try await DatagramSocket(to: server.endpoint)
            var network = SeededGenerator(seed: 9)
            for round in 0..<50 as Range<UInt8> {
                let content = [round] + pattern(20, seed: UInt64(round))
                // The network drops a question in two, and doubles one in three.
                if network.oneIn(2) { try await client.send(content) }
                if network.oneIn(3) { try await client.send(content) }
                try await client.ask(content) { answer in
                    #expect(answer == [answer[0]] + pattern(20, seed: UInt64(answer[0])))
                    #expect(answer[0] <= round)
                    return answer[0] == round
                }
            }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }
}

/// A network of one socket: what it gets it loses, doubles, or holds back behind the next, and notes what went on.
private final class Forwarder: Sendable {
    let inside: DatagramSocket
    let outside: DatagramSocket
    let receiver: DatagramSocket
    let sent = Notes<[UInt8]>()
    let seen = Counter()
    private let network: Lock<SeededGenerator>

    init(_ kind: DatagramKind, seed: UInt64) async throws {
        inside = try DatagramSocket(on: kind.endpoint)
        receiver = try DatagramSocket(on: kind.endpoint)
        outside = try await DatagramSocket(to: receiver.endpoint)
        network = Lock(SeededGenerator(seed: seed))
    }

    func close() { for socket in [inside, outside, receiver] { socket.close() } }

    func run() async throws {
        var held: [UInt8]?
        while true {
            let bytes = try await inside.receive().bytes
            if bytes == [0xff, 0xff] { break }
            switch network.withLock({ Int.random(in: 0..<8, using: &$0) }) {
            case 0: break
            case 1:
                try await pass(bytes)
                try await pass(bytes)
            case 2 where held == nil: held = bytes
            default:
                try await pass(bytes)
                if let late = held { try await pass(late) }
                held = nil
            }
            seen.add()
        }
        if let late = held { try await pass(late) }
    }

    private func pass(_ bytes: [UInt8]) async throws {
        try await outside.send(bytes)
        sent.add(bytes)
    }
}
