import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `serveDatagrams`: every datagram has its answer, and nothing is kept of its sender.
@Suite(.inTurn) struct DatagramAnsweringTests {
    /// All of them ask at once, and each gets what is his.
    @Test(arguments: DatagramKind.allCases)
    func aThousandSendersGetTheirOwnAnswers(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let serving = Task { try await server.serveDatagrams { $0.bytes + [0x21] } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1_000 {
                    let client = try await DatagramSocket(to: server.endpoint)
                    group.addTask {
                        let mark = [0x6d, UInt8(number >> 8), UInt8(number & 0xff), 0x6d]
                        for round in 0..<5 as Range<UInt8> {
                            try await client.ask(mark + [round], again: .seconds(2)) { answer in
                                #expect(Array(answer.prefix(4)) == mark && answer.count == 6)
                                return answer.dropFirst(4) == [round, 0x21]
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
    func nilIsNoAnswerAndAnEmptyOneIs(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { ledger, client, server in
            let serving = Task {
                try await server.serveDatagrams { $0.bytes.first == 0 ? nil : Array($0.bytes.dropFirst()) }
            }
            // Those without an answer are dealt with before the one behind them.
            for question in [[0, 1], [0], [1], [0, 2], [2, 3], []] as [[UInt8]] { try await client.send(question) }
            for answer in [[], [3], []] as [[UInt8]] { #expect(try await client.receive().bytes == answer) }
            #expect(!client.hasNews)
            server.stopReceiving()
            try await serving.value
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func whoIsNotAdmittedHearsNothing(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let good = try await DatagramSocket(to: server.endpoint)
            let bad = try await DatagramSocket(to: server.endpoint)
            let refused = try bad.localAddress
            let asked = Notes<SocketAddress>()
            let serving = Task {
                try await server.serveDatagrams(admits: { $0 != refused }) { datagram in
                    asked.add(datagram.sender)
                    return datagram.bytes
                }
            }
            for round in 0..<3 as Range<UInt8> {
                try await bad.send([round])
                try await good.send([round])
                #expect(try await good.receive().bytes == [round])
            }
            #expect(!bad.hasNews)
            #expect(asked.all == Array(repeating: try good.localAddress, count: 3))
            good.close()
            bad.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// It would answer itself for ever.
    @Test(arguments: DatagramKind.allCases)
    func aDatagramFromItsOwnAddressIsNotAnswered(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let taken = Notes<[UInt8]>()
            try await server.send([9], to: server.localAddress)
            let serving = Task {
                try await server.serveDatagrams { datagram in
                    taken.add(datagram.bytes)
                    return datagram.bytes
                }
            }
            try await client.ask([1]) { $0 == [1] }
            #expect(!taken.all.contains([9]))
            server.stopReceiving()
            try await serving.value
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func datagramsOfEverySizeAreAnswered(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await server.serveDatagrams { $0.bytes } }
            for size in [0, 1, 1472, 1473, 9000, DatagramSocket.largestUDP] {
                let bytes = pattern(size)
                try await client.ask(bytes) { $0 == bytes }
            }
            // None comes twice.
            #expect(try await client.receive(within: .milliseconds(50)) == nil)
            server.stopReceiving()
            try await serving.value
        }
    }

    /// Two of them that answer each other: each round costs a hop.
    @Test(arguments: DatagramKind.udp, [1, 2, 17, 64, 255])
    func anAnswerHasOneHopLessAndTheLastHopHasNone(_ kind: DatagramKind, _ hops: Int) async throws {
        try await trial { _ in
            let (a, b) = (try DatagramSocket(on: kind.endpoint), try DatagramSocket(on: kind.endpoint))
            let taken = Counter()
            let servings = [a, b].map { socket in
                Task {
                    try await socket.serveDatagrams { datagram in
                        if datagram.bytes == [0x21] { taken.add() }
                        return datagram.bytes
                    }
                }
            }
            try setHops(of: a, hops)
            try await a.send([0x21], to: b.localAddress)
            try await eventually(patience, "all rounds") { taken.value >= hops }
            for socket in [a, b] {
                let client = try await DatagramSocket(to: socket.endpoint)
                try await client.ask([1]) { $0 == [1] }
                client.close()
                socket.stopReceiving()
            }
            for serving in servings { try await serving.value }
            #expect(taken.value == hops)
            a.close()
            b.close()
        }
    }

    private func setHops(of socket: DatagramSocket, _ hops: Int) throws {
        let isIPv6 = socket.endpoint.description.contains("[")
        let result = try socket.withDescriptor { fd in
            var value = CInt(hops)
            return setsockopt(
                fd, isIPv6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP), isIPv6 ? IPV6_UNICAST_HOPS : IP_TTL, &value,
                socklen_t(MemoryLayout<CInt>.size))
        }
        #expect(result == 0)
    }

    @Test func anAnswerLeavesFromTheAddressThatWasAsked() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://0.0.0.0:0")
            let serving = Task { try await server.serveDatagrams { $0.bytes } }
            let port = try #require(try server.localAddress.port)
            // A connected socket takes an answer from nowhere else.
            for host in ["127.0.0.1", "127.0.0.5", "127.9.8.7"] {
                let client = try await DatagramSocket(to: "udp://\(host):\(port)")
                try await client.ask([1, 2]) { $0 == [1, 2] }
                client.close()
            }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aConnectedSocketAnswersItsPeer(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await client.serveDatagrams { $0.bytes + [1] } }
            let address = try client.localAddress
            for round in 0..<10 as Range<UInt8> {
                try await server.send([round], to: address)
                #expect(try await server.receive().bytes == [round, 1])
            }
            client.stopReceiving()
            try await serving.value
        }
    }

    @Test func aUnixSenderWithoutANameIsToldOf() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let told = Notes<SocketError>()
            let serving = Task {
                try await server.serveDatagrams(onError: { sender, error in
                    #expect(sender == .unnamed)
                    told.add(error)
                }) { $0.bytes }
            }
            let path = try #require(server.endpoint.address)
            for _ in 0..<2 { try sendUnnamed([1], to: path) }
            try await eventually { told.all.count == 2 }
            #expect(told.all.allSatisfy { $0.cause == .system(.addressRequired) && $0.operation == .send })
            // The others have their answers.
            let client = try await DatagramSocket(to: server.endpoint)
            try await client.ask([2]) { $0 == [2] }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// A Unix client whose queue is full is not waited for: his answers are lost and told, the others' come.
    @Test(arguments: DatagramKind.unix)
    func aUnixClientThatDoesNotReadHoldsUpNobody(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let deaf = try DatagramSocket(on: kind.endpoint)
            let other = try await DatagramSocket(to: server.endpoint)
            let (place, name) = (try server.localAddress, try deaf.localAddress)
            let told = Notes<SocketAddress>()
            let serving = Task {
                try await server.serveDatagrams(onError: { sender, error in
                    #expect(error.cause == .timedOut)
                    told.add(sender)
                }) { $0.bytes }
            }
            // More than his queue holds.
            for round in 0..<40 as Range<UInt8> {
                try await deaf.send([round], to: place)
                try await other.ask([round]) { $0 == [round] }
            }
            try await told.waits("a refusal") { $0 == name }
            #expect(told.all.allSatisfy { $0 == name })
            for socket in [deaf, other] { socket.close() }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aTraceTellsOfEachReceiveAndEachSend(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let lines = Notes<String>()
            let server = try DatagramSocket(on: kind.endpoint, trace: .lines { lines.add($0) })
            let client = try await DatagramSocket(to: server.endpoint)
            for number in 2..<6 { try await client.send(pattern(number)) }
            let serving = Task { try await server.serveDatagrams { $0.bytes } }
            for number in 2..<6 { #expect(try await client.receive().bytes == pattern(number)) }
            server.stopReceiving()
            try await serving.value
            for number in 2..<6 {
                let sends = lines.all.filter { $0.contains("send did not wait: all \(number) byte") }
                #expect(sends.count == 1, "\(lines.all)")
            }
            #expect(lines.all.contains { $0.contains("receive ") && $0.contains("4 datagrams") }, "\(lines.all)")
            client.close()
            server.close()
        }
    }
}
