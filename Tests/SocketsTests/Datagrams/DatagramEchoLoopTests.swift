import Sockets
import SystemPackage
import TestSupport
import Testing

/// One datagram with a forged sender is enough to start two echo servers on each other (CVE-2024-2169).
@Suite("C7: two servers that answer each other", .inTurn, .enabled(if: Spoofer.isAvailable, "\(Spoofer.whyNot)"))
struct DatagramEchoLoopTests {
    @Test(arguments: [64, 255] as [UInt8])
    func fallSilentWhenTheLastHopIsUsedUp(_ hops: UInt8) async throws {
        try await trial { _ in
            let a = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let b = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let rounds = Counter()
            let body: @Sendable (DatagramSession) async throws -> Void = { session in
                while let message = try await session.receive() {
                    if message == [0x21] { rounds.add() }
                    try await session.send(message)
                }
            }
            let servings = [a, b].map { socket in Task { try await socket.serve(body) } }
            #expect(Spoofer().send([0x21], from: try b.localAddress, to: try a.localAddress, hops: hops))
            // Each answer has one hop less than its question: nobody's patience is needed, only the counting down.
            try await eventually(patience, "a first round") { rounds.value > 0 }
            try await settles(rounds)
            #expect(rounds.value > 1)
            #expect(rounds.value <= 255)
            // They serve others as before.
            for socket in [a, b] {
                let client = try await DatagramSocket(to: socket.endpoint)
                try await client.ask([1]) { $0 == [1] }
                client.close()
                socket.stopReceiving()
            }
            for serving in servings { try await serving.value }
            #expect(rounds.value <= 255)
            a.close()
            b.close()
        }
    }

    @Test func aDatagramThatClaimsToComeFromTheServerItselfIsNotAnswered() async throws {
        try await trial { _ in
            for place in [DatagramKind.udp4.endpoint, "udp://:0", "udp://0.0.0.0:0"] {
                let server = try DatagramSocket(on: place)
                let port = try #require(try server.localAddress.port)
                let rounds = Counter()
                let serving = Task {
                    try await server.serve { session in
                        while let message = try await session.receive() {
                            if message == [0x21] { rounds.add() }
                            try await session.send(message)
                        }
                    }
                }
                var own = try server.localAddress
                if !own.isLoopback { own = try SocketAddress("127.0.0.1:\(port)") }
                #expect(Spoofer().send([0x21], from: own, to: own))
                if place.hasPrefix("udp://:") || place.hasPrefix("udp://0") {
                    // Another of the addresses that it is on.
                    let other = try SocketAddress("127.0.0.5:\(port)")
                    #expect(Spoofer().send([0x21], from: other, to: own))
                }
                let client = try await DatagramSocket(to: Endpoint(.udp, .address(own)))
                // Behind the forged one, so that is dealt with when this is answered.
                for round in 0..<5 as Range<UInt8> { try await client.ask([round]) { $0 == [round] } }
                #expect(rounds.value == 0)
                client.close()
                server.stopReceiving()
                try await serving.value
                server.close()
            }
        }
    }

    /// Waits until a number has not changed for some time.
    private func settles(_ counter: Counter) async throws {
        var last = -1
        while counter.value != last {
            last = counter.value
            try await Task.sleep(for: .milliseconds(300))
        }
    }
}
