import Sockets
import SystemPackage
import TestSupport
import Testing

/// Where a connection comes from, and over which family it goes, can be chosen.
@Suite(.inTurn, .timeLimit(.minutes(10))) struct SourceAndFamilyTests {
    @Test(arguments: Face.allCases, [("127.0.0.1", "127.0.0.9"), ("[::1]", "[::1]")])
    func thePeerSeesTheSource(_ face: Face, _ hosts: (listener: String, source: String)) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "\(hosts.listener):0")
            let lines = Notes<String>()
            let client = try await Connection.connect(
                to: "\(listener.endpoint)", from: try SocketAddress("\(hosts.source):0"),
                trace: .lines { lines.add($0) },
                by: face)
            let server = try await listener.accept()
            #expect("\(server.remoteAddress)".hasPrefix("\(hosts.source):"))
            #expect(server.remoteAddress == (try client.localAddress))
            // No port is taken before the connect: the system chooses it with the peer in mind.
            let bound = try #require(lines.all.first { $0.hasPrefix("bound ") })
            #expect(bound.hasSuffix("local=\(hosts.source):0>"))
            #expect(ledger.count(of: .bind) == 2)
            client.close()
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aSourceWithAPortCanBeUsedAgainAtOnce(_ face: Face) async throws {
        try await trial { _ in
            let free = try Listener(bound: Endpoint("127.0.0.9:0"))
            let source = free.address
            free.close()
            for host in ["127.0.0.1", "127.0.0.2", "127.0.0.1"] {
                let listener = try Listener(on: "\(host):0")
                let client = try await Connection.connect(to: "\(listener.endpoint)", from: source, by: face)
                #expect(try client.localAddress == source)
                // This end closes first, and is the one that the kernel remembers.
                client.close()
                listener.close()
            }
        }
    }

    @Test(arguments: Face.allCases)
    func aSourceThatIsNotThisMachinesIsToldAsSuch(_ face: Face) async throws {
        try await trial { ledger in
            do {
                _ = try await Connection.connect(
                    to: "127.0.0.1:9", from: try SocketAddress("192.0.2.1:0"), by: face)
                Issue.record("it is an address of no machine")
            } catch let error as SocketError {
                #expect(error.operation == .bind && error.cause == .system(.addressNotAvailable))
                #expect("\(error)" == "bind tcp 192.0.2.1:0: \(Errno.addressNotAvailable.sentence)")
            }
            #expect(ledger.count(of: .connect) == 0)
        }
    }

    /// One of them only: as many attempts as there are addresses of the family.
    @Test(arguments: Face.allCases, AddressFamily.allCases)
    func onlyAddressesOfTheFamilyAreTried(_ face: Face, _ family: AddressFamily) async throws {
        try await trial { ledger in
            let listener = try Listener(on: ":0")
            let port = try #require(listener.address.port)
            let client = try await Connection.connect(to: ":\(port)", family: family, by: face)
            #expect(client.remoteAddress.ipFamily == family)
            client.close()
            let source = try SocketAddress(family == .ipv4 ? "127.0.0.1:0" : "[::1]:0")
            let other = try await Connection.connect(to: ":\(port)", from: source, by: face)
            #expect(other.remoteAddress.ipFamily == family)
            other.close()
            #expect(ledger.count(of: .connect) == 2)
            listener.close()
        }
    }

    /// On some machines `localhost` has addresses of both families, on others of one.
    @Test(arguments: Face.allCases, AddressFamily.allCases)
    func aNameWithoutAnAddressOfTheFamilyIsToldSo(_ face: Face, _ family: AddressFamily) async throws {
        try await trial { _ in
            let listener = try Listener(on: ":0")
            let port = try #require(listener.address.port)
            do {
                let client = try await Connection.connect(to: "localhost:\(port)", family: family, by: face)
                #expect(client.remoteAddress.ipFamily == family)
                client.close()
            } catch let error as SocketError {
                let reason = "it has no \(family) address, only \(family == .ipv4 ? "IPv6" : "IPv4") ones"
                #expect(error.cause == .resolution(name: "localhost", reason: reason))
            }
            listener.close()
        }
    }

    @Test(
        arguments: Face.allCases,
        [
            ("127.0.0.1:9", nil, AddressFamily.ipv6, "only IPv6 is asked for"),
            ("[::1]:9", nil, .ipv4, "only IPv4 is asked for"),
            ("[::1]:9", "127.0.0.9:0", nil, "of one family"),
            ("/tmp/a.sock", nil, .ipv4, "leave the family out"),
            ("unix://@name", "127.0.0.9:0", nil, "leave the source 127.0.0.9:0 out"),
        ] as [(String, String?, AddressFamily?, String)])
    func anEndpointOfAnotherKindIsABadEndpoint(
        _ face: Face, _ wrong: (endpoint: String, source: String?, family: AddressFamily?, part: String)
    ) async throws {
        try await trial { ledger in
            let source = try wrong.source.map { try SocketAddress($0) }
            let ended = try await cause {
                try await Connection.connect(to: wrong.endpoint, from: source, family: wrong.family, by: face)
            }
            guard case .endpoint(let error) = ended else {
                Issue.record("\(String(describing: ended))")
                return
            }
            #expect(error.reason.contains(wrong.part))
            #expect(ledger.count(of: .socket) == 0)
        }
    }

    @Test(arguments: Face.allCases)
    func wishesThatExcludeEachOtherAreMisuse(_ face: Face) async throws {
        try await trial { _ in
            for (source, family) in [("127.0.0.9:0", AddressFamily.ipv6), ("[::1]:0", .ipv4), ("@name", .ipv4)] {
                let ended = try await cause {
                    try await Connection.connect(
                        to: "localhost:9", from: try SocketAddress(source), family: family, by: face)
                }
                guard case .misuse(let what) = ended else {
                    Issue.record("\(String(describing: ended))")
                    continue
                }
                #expect(what.contains(source))
            }
        }
    }
}
