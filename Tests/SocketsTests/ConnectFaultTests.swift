import Sockets
import SystemPackage
import TestSupport
import Testing

// Faults between two machines, each of them in networks of the test's own. The suites bear the names of the rows of the
// table of faults.

/// Calls `body` with a network, under a ledger and a time limit.
private func networkTrial(_ body: @escaping @Sendable (Ledger, Network) async throws -> Void) async throws {
    // The time in which other tests have their networks is not the test's.
    try await inNetwork { network in
        try await trial { ledger in try await body(ledger, network) }
    }
}

@Suite(
    "B2: a blackholed connect", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct BlackholedConnectTests {
    @Test(arguments: Face.allCases, ["10.77.0.2:8520", "[fd77::2]:8520"])
    func theTimeOutIsHonoured(_ face: Face, _ endpoint: String) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("tcp dport 8520 drop")
            let start = ContinuousClock.now
            do {
                _ = try await network.client.connect(to: endpoint, timeout: .milliseconds(300), by: face)
                Issue.record("nothing came through")
            } catch let error as SocketError {
                #expect("\(error)" == "connect tcp \(endpoint): timed out")
            }
            let took = ContinuousClock.now - start
            #expect(took >= .milliseconds(300) && took < patience)
            #expect(ledger.count(of: .connect) == 1)
        }
    }

    @Test(arguments: ["10.77.0.2:8520", "[fd77::2]:8520"])
    func aCancellationIsHeededAtOnce(_ endpoint: String) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("tcp dport 8520 drop")
            let task = Task { try await cause { try await network.client.connect(to: endpoint, by: .task) } }
            try await ledger.sees(.connect)
            task.cancel()
            #expect(try await within { try await task.value } == .cancelled)
        }
    }

    /// The kernel's own patience, made short: without a deadline of ours it is what ends the attempt.
    @Test(arguments: Face.allCases)
    func withoutADeadlineTheSystemsTimeOutIsTold(_ face: Face) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("tcp dport 8520 drop")
            try network.client.set("net.ipv4.tcp_syn_retries", "1")
            let ended = try await cause { try await network.client.connect(to: "10.77.0.2:8520", by: face) }
            #expect(ended == .system(.timedOut))
        }
    }
}

@Suite(
    "B3: a connect that the network refuses", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct RefusedByTheNetworkTests {
    @Test(
        arguments: Face.allCases,
        [
            ("icmp type host-unreachable", "10.77.0.2:8520", Errno.noRouteToHost, "no route to host"),
            ("icmp type admin-prohibited", "10.77.0.2:8520", .noRouteToHost, "no route to host"),
            ("icmp type net-unreachable", "10.77.0.2:8520", .networkUnreachable, "network is unreachable"),
            ("icmpv6 type addr-unreachable", "[fd77::2]:8520", .noRouteToHost, "no route to host"),
            ("icmpv6 type admin-prohibited", "[fd77::2]:8520", .permissionDenied, "permission denied"),
            ("tcp reset", "10.77.0.2:8520", .connectionRefused, "connection refused"),
        ])
    func whatARouterSaysIsToldInASentence(
        _ face: Face, _ refusal: (with: String, endpoint: String, errno: Errno, words: String)
    ) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("tcp dport 8520 reject with \(refusal.with)")
            do {
                _ = try await network.client.connect(to: refusal.endpoint, by: face)
                Issue.record("it was refused")
            } catch let error as SocketError {
                #expect(error.cause == .system(refusal.errno))
                #expect("\(error)" == "connect tcp \(refusal.endpoint): \(refusal.words)")
            }
        }
    }

    /// In a race it is a failure like another: the next begins at once.
    @Test(arguments: Face.allCases)
    func theNextAddressIsTriedAtOnce(_ face: Face) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("ip6 daddr fd77::2 reject with icmpv6 type admin-prohibited")
            let listener = try await network.server.onThread { try Listener(on: "10.77.0.2:8520") }
            let addresses = try [SocketAddress("[fd77::2]:8520"), listener.address]
            let client = try await network.client.connect(racing: addresses, by: face)
            #expect(client.remoteAddress == listener.address)
            client.close()
            listener.close()
        }
    }
}

@Suite(
    "B18: all local ports are in use", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct PortsUsedUpTests {
    private static let ports = 10

    @Test(arguments: Face.allCases)
    func itIsToldAndTheNextGoesThrough(_ face: Face) async throws {
        try await inNamespace { namespace in
            try namespace.set("net.ipv4.ip_local_port_range", "32768 32777")
            try await trial { ledger in
                let listener = try await namespace.onThread { try Listener(on: "127.0.0.1:8520") }
                var clients: [Connection] = []
                for _ in 0..<Self.ports {
                    clients.append(try await namespace.connect(to: "127.0.0.1:8520", by: face))
                }
                do {
                    _ = try await namespace.connect(to: "127.0.0.1:8520", by: face)
                    Issue.record("there is no port for it")
                } catch let error as SocketError {
                    #expect(error.cause == .system(.addressNotAvailable))
                    #expect("\(error)".hasPrefix("connect tcp 127.0.0.1:8520: "))
                    #expect("\(error)".contains("no local port is free for it"))
                }
                // To another place the same ports can be used; and to the same one when one is free again.
                let other = try await namespace.onThread { try Listener(on: "127.0.0.2:8520") }
                clients.append(try await namespace.connect(to: "127.0.0.2:8520", by: face))
                let server = try await listener.accept()
                server.close()
                #expect(try await clients[0].receive(upTo: 9, by: .thread) == nil)
                clients[0].close()
                // The system frees it when the last acknowledgement has come, which may take it a moment.
                let end = ContinuousClock.now + patience
                while clients.count < Self.ports + 2 {
                    do {
                        clients.append(try await namespace.connect(to: "127.0.0.1:8520", by: face))
                    } catch let error as SocketError {
                        guard error.cause == .system(.addressNotAvailable), ContinuousClock.now < end else {
                            throw error
                        }
                    }
                }
                for client in clients { client.close() }
                listener.close()
                other.close()
            }
        }
    }

    /// Were a port taken by bind(2), the eleventh connection would have none, wherever it goes.
    @Test(arguments: Face.allCases)
    func aSourceWithoutAPortDoesNotUseThemUp(_ face: Face) async throws {
        try await inNamespace { namespace in
            try namespace.set("net.ipv4.ip_local_port_range", "32768 32777")
            try await trial { _ in
                let source = try SocketAddress("127.0.0.9:0")
                var open: [(Connection, Listener)] = []
                for number in 1...(2 * Self.ports) {
                    let place = "127.0.1.\(number):8520"
                    let listener = try await namespace.onThread { try Listener(on: place) }
                    open.append((try await namespace.connect(to: place, from: source, by: face), listener))
                }
                for (client, listener) in open {
                    client.close()
                    listener.close()
                }
            }
        }
    }
}

@Suite(
    "B20: no IPv6 at all", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .timeLimit(.minutes(10))
)
struct WithoutIPv6Tests {
    @Test(arguments: Face.allCases, ["[::1]:8520", "[fd77::2]:8520"])
    func connectingFallsBackToIPv4(_ face: Face, _ six: String) async throws {
        try await inNamespace { namespace in
            for which in ["all", "default", "lo"] { try namespace.set("net.ipv6.conf.\(which).disable_ipv6", "1") }
            try await trial { ledger in
                let listener = try await namespace.onThread { try Listener(on: ":8520") }
                let four = try SocketAddress("127.0.0.1:8520")
                let client = try await namespace.connect(
                    racing: [try SocketAddress(six), four], by: face)
                #expect(client.remoteAddress == four)
                let server = try await listener.accept()
                #expect("\(server.remoteAddress)".hasPrefix("127.0.0.1:"))
                let short = try await namespace.connect(to: ":8520", by: face)
                #expect(short.remoteAddress == four)
                // And alone it is a sentence.
                let ended = try await cause { try await namespace.connect(to: six, by: face) }
                #expect(ended == .system(.addressNotAvailable) || ended == .system(.networkUnreachable))
                for connection in [client, server, short] { connection.close() }
                listener.close()
            }
        }
    }
}

@Suite(
    "B21: a link-local zone", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct LinkLocalTests {
    @Test(arguments: Face.allCases)
    func aZoneIsConnectedToAndPrintedBack(_ face: Face) async throws {
        try await networkTrial { _, network in
            let listener = try await network.server.onThread { try Listener(on: "[fe80::2%v2]:8520") }
            let client = try await network.client.connect(to: "[fe80::2%v1]:8520", by: face)
            let server = try await listener.accept(by: face)
            try await client.send([1, 2, 3], by: face)
            #expect(try await server.receive(upTo: 9, by: face) == [1, 2, 3])
            // The name of an interface is its namespace's.
            let told = try await network.client.onThread {
                (client.remoteAddress.description, try client.localAddress.description)
            }
            #expect(told.0 == "[fe80::2%v1]:8520")
            #expect(told.1.hasPrefix("[fe80::1%v1]:"))
            #expect(try await network.client.onThread { try SocketAddress(told.0) } == client.remoteAddress)
            let seen = try await network.server.onThread { server.remoteAddress.description }
            #expect(seen.hasPrefix("[fe80::1%v2]:"))
            client.close()
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aSourceCanHaveAZone(_ face: Face) async throws {
        try await networkTrial { _, network in
            let listener = try await network.server.onThread { try Listener(on: "[fe80::2%v2]:8520") }
            let source = try await network.client.onThread { try SocketAddress("[fe80::1%v1]:0") }
            let client = try await network.client.connect(to: "[fe80::2%v1]:8520", from: source, by: face)
            let own = try await network.client.onThread { try client.localAddress.description }
            #expect(own.hasPrefix("[fe80::1%v1]:"))
            client.close()
            listener.close()
        }
    }
}

@Suite(
    "B22: the first address is dead", .inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct FirstAddressDeadTests {
    @Test(arguments: Face.allCases, [true, false])
    func theOtherFamilyAnswersAfterAQuarterOfASecond(_ face: Face, _ isSixDead: Bool) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("meta nfproto \(isSixDead ? "ipv6" : "ipv4") tcp dport 8520 drop")
            let listener = try await network.server.onThread { try Listener(on: ":8520") }
            let (six, four) = (try SocketAddress("[fd77::2]:8520"), try SocketAddress("10.77.0.2:8520"))
            let delays = Notes<Duration>()
            let trace = Trace { if case .attempt(2, of: 2, let after) = $0.action { delays.add(after) } }
            let client = try await network.client.connect(
                racing: isSixDead ? [six, four] : [four, six], trace: trace, by: face)
            #expect(client.remoteAddress == (isSixDead ? four : six))
            let delay = try #require(delays.all.first)
            #expect(delay >= .milliseconds(250) && delay < patience)
            client.close()
            listener.close()
        }
    }

    /// A deadline is not shared out between the addresses: the dead ones cost a quarter of a second each.
    @Test(arguments: Face.allCases)
    func theDeadDoNotUseUpTheTime(_ face: Face) async throws {
        try await networkTrial { ledger, network in
            try network.server.incoming("tcp dport 9 drop")
            let listener = try await network.server.onThread { try Listener(on: "10.77.0.2:8520") }
            let dead = try ["[fd77::2]:9", "10.77.0.2:9"].map { try SocketAddress($0) }
            let client = try await network.client.connect(
                racing: [dead[0], dead[1], listener.address], timeout: patience, by: face)
            #expect(client.remoteAddress == listener.address)
            client.close()
            listener.close()
        }
    }
}
