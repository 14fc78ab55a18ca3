import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An answer of `serveDatagrams` has one hop less than its question had left, whatever the others of its batch have.
@Suite(.inTurn) struct DatagramAnswerHopsTests {
    struct Place: Sendable, CustomTestStringConvertible {
        let endpoint: String
        let isIPv6: Bool
        var testDescription: String { "\(endpoint) over IPv\(isIPv6 ? 6 : 4)" }
    }

    static let places = [
        Place(endpoint: "udp://127.0.0.1:0", isIPv6: false), Place(endpoint: "udp://0.0.0.0:0", isIPv6: false),
        Place(endpoint: "udp://[::1]:0", isIPv6: true), Place(endpoint: "udp://[::]:0", isIPv6: true),
        // An IPv6 socket that takes IPv4 too: those who ask have mapped addresses.
        Place(endpoint: "udp://:0", isIPv6: false), Place(endpoint: "udp://:0", isIPv6: true),
    ]

    /// They are all there before the server begins, so that their answers go together; then the same, one by one.
    @Test(arguments: places, [false, true])
    func questionsWithSeveralHopsInOneBatch(_ place: Place, _ isOnlyUser: Bool) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place.endpoint)
            let peer = try HopsPeer(to: #require(try server.localAddress.port), isIPv6: place.isIPv6)
            let asked = [64, 64, 200, 64, 2, 255, 64, 17, 200, 3, 64]
            for (mark, hops) in asked.enumerated() { try peer.send([UInt8(mark)], hops: hops) }
            let serving = Task { try await server.serveDatagrams(on: nil, asOnlyUser: isOnlyUser) { $0.bytes } }
            let answers = try await peer.hops(of: asked.count)
            for (mark, hops) in asked.enumerated() { #expect(answers[UInt8(mark)] == hops - 1) }
            for hops in asked + [1] + asked {
                // Who has used up his last hop is not answered; whoever comes behind him is.
                try peer.send([0x21], hops: hops)
                try peer.send([0x22], hops: 64)
                let answers = try await peer.hops(of: hops == 1 ? 1 : 2)
                #expect(answers == (hops == 1 ? [0x22: 63] : [0x21: hops - 1, 0x22: 63]))
            }
            #expect(!peer.hasNews)
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// The two families of one socket have an option each.
    @Test(arguments: [false, true])
    func questionsOverBothFamiliesInOneBatch(_ isOnlyUser: Bool) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://:0")
            let port = try #require(try server.localAddress.port)
            let (four, six) = (try HopsPeer(to: port, isIPv6: false), try HopsPeer(to: port, isIPv6: true))
            for mark in 0..<4 as Range<UInt8> {
                try four.send([mark], hops: mark == 3 ? 99 : 64)
                try six.send([mark], hops: mark == 3 ? 64 : 99)
            }
            let serving = Task { try await server.serveDatagrams(on: nil, asOnlyUser: isOnlyUser) { $0.bytes } }
            #expect(try await four.hops(of: 4) == [0: 63, 1: 63, 2: 63, 3: 98])
            #expect(try await six.hops(of: 4) == [0: 98, 1: 98, 2: 98, 3: 63])
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// By the options of both sockets, once they are set: each round costs a hop.
    @Test(.enabled(if: Spoofer.isAvailable, "\(Spoofer.whyNot)"), arguments: [2, 64, 255] as [UInt8])
    func twoServersThatAreTheOnlyUsersOfTheirSocketsFallSilent(_ hops: UInt8) async throws {
        try await trial { _ in
            let servers = try [DatagramSocket(on: "udp://127.0.0.1:0"), DatagramSocket(on: "udp://127.0.0.1:0")]
            let addresses = try servers.map { try $0.localAddress }
            let rounds = Counter()
            let servings = servers.map { server in
                Task {
                    try await server.serveDatagrams(on: nil, asOnlyUser: true) { datagram in
                        if datagram.bytes == [0x21] { rounds.add() }
                        return datagram.bytes
                    }
                }
            }
            for trial in 1...3 {
                #expect(Spoofer().send([0x21], from: addresses[1], to: addresses[0], hops: hops))
                try await eventually(patience, "all rounds") { rounds.value >= trial * Int(hops) }
                // They serve others as before, and none of the rounds comes behind this.
                for address in addresses {
                    let peer = try HopsPeer(to: #require(address.port), isIPv6: false)
                    try peer.send([1], hops: 64)
                    #expect(try await peer.hops(of: 1) == [1: 63])
                }
                #expect(rounds.value == trial * Int(hops))
            }
            for server in servers { server.stopReceiving() }
            for serving in servings { try await serving.value }
            for server in servers { server.close() }
        }
    }

    /// A socket that cannot be told how many hops to give says it with each answer.
    @Test func anOptionThatIsRefusedChangesNothing() async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: "udp://127.0.0.1:0")
            let peer = try HopsPeer(to: #require(try server.localAddress.port), isIPv6: false)
            ledger.make(.setsockopt, .fail(.notPermitted), times: .max)
            let serving = Task { try await server.serveDatagrams(on: nil, asOnlyUser: true) { $0.bytes } }
            for hops in [64, 64, 30, 64] {
                try peer.send([7], hops: hops)
                #expect(try await peer.hops(of: 1) == [7: hops - 1])
            }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// What the socket's own hops are is its user's to say: answers do not go by it, nor change it.
    @Test(arguments: places, [nil, 33])
    func whatElseIsSentHasTheSocketsOwnHops(_ place: Place, _ own: Int?) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place.endpoint)
            let peer = try HopsPeer(to: #require(try server.localAddress.port), isIPv6: place.isIPv6)
            let address = try peer.address
            func setHops(_ hops: Int) throws {
                let result = try server.withDescriptor { fd in
                    var value = CInt(hops)
                    return setsockopt(
                        fd, place.isIPv6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP),
                        place.isIPv6 ? IPV6_UNICAST_HOPS : IP_TTL, &value, socklen_t(MemoryLayout<CInt>.size))
                }
                #expect(result == 0)
            }
            if let own { try setHops(own) }
            try await server.send([1], to: address)
            let usual = try #require(try await peer.hops(of: 1)[1])
            if let own { #expect(usual == own) }
            let serving = Task { try await server.serveDatagrams { $0.bytes } }
            for round in 0..<5 {
                try peer.send([2], hops: 50)
                #expect(try await peer.hops(of: 1) == [2: 49])
                try await server.send([1], to: address)
                #expect(try await peer.hops(of: 1) == [1: usual], "\(round)")
            }
            // Nor can it break the rule by which two servers fall silent.
            try setHops(255)
            for _ in 0..<5 {
                try peer.send([2], hops: 50)
                #expect(try await peer.hops(of: 1) == [2: 49])
            }
            server.stopReceiving()
            try await serving.value
            try await server.send([1], to: address)
            #expect(try await peer.hops(of: 1) == [1: 255])
            server.close()
        }
    }
}
