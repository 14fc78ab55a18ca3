import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Ways to a connection, and what it knows of itself.
@Suite(.inTurn) struct ConnectingTests {
    @Test(arguments: Kind.allCases, Face.allCases)
    func bothEndsKnowWhoTheyAre(_ kind: Kind, _ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let client = try await Connection.connect(to: "\(listener.endpoint)", by: face)
            let server = try await listener.accept(by: face)
            #expect(client.origin == .connected && server.origin == .accepted)
            #expect(client.listener == nil && server.listener === listener)
            #expect(client.remoteAddress == listener.address)
            #expect(try server.localAddress == listener.address)
            #expect(try server.remoteAddress == client.localAddress)
            if kind != .unix { #expect(listener.address.port ?? 0 > 0) }
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aNameIsResolvedAndEachOfItsAddressesTried(_ face: Face) async throws {
        try await trial { _ in
            // `localhost` may give ::1 first, where nobody listens.
            let listener = try Listener(on: "localhost:0")
            let port = try #require(listener.address.port)
            let client = try await Connection.connect(to: "localhost:\(port)", by: face)
            #expect(client.remoteAddress == listener.address)
            let short = try await Connection.connect(to: ":\(port)", by: face)
            #expect(short.remoteAddress.isLoopback)
            let third = try await Connection.connect(to: "LOCALHOST:\(port)", by: face)
            for connection in [client, short, third] { connection.close() }
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aNameThatDoesNotExistIsToldWithTheName(_ face: Face) async throws {
        try await trial { _ in
            do {
                _ = try await Connection.connect(to: "no-such-name.invalid:80", by: face)
                Issue.record("it does not exist")
            } catch let error as SocketError {
                #expect(error.operation == .resolve)
                guard case .resolution(let name, _) = error.cause else {
                    Issue.record("\(error)")
                    return
                }
                #expect(name == "no-such-name.invalid")
                #expect("\(error)".contains("no-such-name.invalid"))
            }
        }
    }

    @Test func aListenerRefusesNamesButLocalhost() async throws {
        try await trial { (ledger) async throws in
            let ended = try await cause { try Listener(on: "example.com:80") }
            guard case .endpoint(let error) = ended else {
                Issue.record("\(String(describing: ended))")
                return
            }
            #expect(error.reason.contains("is a name"))
            #expect(ledger.count(of: .socket) == 0)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aRefusedConnectionIsASentence(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            // Bound and not listening: nobody else can have it meanwhile.
            let bound = try Listener(bound: Endpoint(kind.endpoint))
            do {
                _ = try await Connection.connect(to: "\(bound.endpoint)", by: face)
                Issue.record("it was not refused")
            } catch let error as SocketError {
                #expect(error.cause == .system(.connectionRefused))
                #expect(error.operation == .connect && error.remote == bound.address)
                let scheme = kind == .unix ? "unix" : "tcp"
                #expect("\(error)" == "connect \(scheme) \(bound.address): connection refused")
            }
            #expect(ledger.open.count == 1)
            try bound.listen()
            let client = try await Connection.connect(to: "\(bound.endpoint)", by: face)
            client.close()
            bound.close()
        }
    }

    @Test func aPortInUseIsAnError() async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            #expect(try await cause { try Listener(on: listener.endpoint) } == .system(.addressInUse))
            #expect(ledger.open.count == 1)
            listener.close()
        }
    }

    /// B17: connections of the last run are still remembered by the kernel.
    @Test(arguments: [Kind.tcp4, .tcp6])
    func aPortWithConnectionsOfTheLastRunCanBeListenedOnAgain(_ kind: Kind) async throws {
        try await trial { _ in
            let listener = try Listener(on: kind.endpoint)
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept()
            // The end that closes first is the one that waits (TIME_WAIT).
            server.close()
            #expect(try await client.receive(upTo: 9) == nil)
            client.close()
            listener.close()
            let again = try Listener(on: listener.endpoint)
            again.close()
        }
    }

    @Test(arguments: ["tcp://127.0.0.1:0", "localhost:0", ":0"], Face.allCases)
    func portZeroCannotBeConnectedTo(_ endpoint: String, _ face: Face) async throws {
        try await trial { ledger in
            let ended = try await cause { try await Connection.connect(to: endpoint, by: face) }
            guard case .endpoint = ended else {
                Issue.record("\(String(describing: ended))")
                return
            }
            #expect(ledger.count(of: .connect) == 0)
        }
    }

    /// B6: the kernel may pick for our end the very port that we want to reach. Provoked by binding before the connect.
    @Test(arguments: [1, 100], Face.allCases)
    func aConnectionToItselfIsNoticed(_ times: Int, _ face: Face) async throws {
        try await within {
            let bound = try Listener(bound: Endpoint("127.0.0.1:0"))
            let address = bound.address
            bound.close()
            let port = try #require(address.port)
            let calls = Counter()
            let open = Counter()
            // Others may have the socket too: a program that is just being started.
            let copies = Notes<CInt>()
            defer { for copy in copies.all { close(copy) } }
            let interposer = Interposer(
                decide: { call, descriptor in
                    guard call == .connect, calls.add(1) <= times else { return .pass }
                    copies.add(dup(descriptor))
                    var own = sockaddr_in()
                    own.sin_family = sa_family_t(AF_INET)
                    own.sin_port = in_port_t(port).bigEndian
                    own.sin_addr = in_addr(s_addr: UInt32(0x7f00_0001).bigEndian)
                    var yes: CInt = 1
                    _ = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
                    let code = withUnsafePointer(to: own) {
                        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                        }
                    }
                    #expect(code == 0)
                    return .pass
                }, opened: { _ in open.add(1) })
            let ended = try await interposer.whileInForce {
                try await cause { try await Connection.connect(to: "\(address)", by: face) }
            }
            // Were it taken for a connection, it would echo whatever is sent.
            #expect(ended == .system(.connectionRefused))
            #expect(calls.value > 1 && calls.value < 10)
        }
    }

    @Test func manyConnectsToAClosedPortNeverSucceed() async throws {
        try await trial { (ledger) async throws in
            let bound = try Listener(bound: Endpoint("127.0.0.1:0"))
            for _ in 0..<300 {
                let ended = try await cause { try await Connection(to: bound.endpoint) }
                #expect(ended == .system(.connectionRefused))
            }
            #expect(ledger.open.count == 1)
            bound.close()
        }
    }

    // MARK: - One listener for both families

    @Test(arguments: Face.allCases)
    func aV4PeerOfADualStackListenerIsPrintedAsV4(_ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: ":0")
            let port = try #require(listener.address.port)
            let four = try await Connection.connect(to: "127.0.0.1:\(port)", by: face)
            let peer = try await listener.accept(by: face)
            #expect(peer.remoteAddress == (try four.localAddress))
            #expect("\(peer.remoteAddress)".hasPrefix("127.0.0.1:"))
            #expect("\(try peer.localAddress)" == "127.0.0.1:\(port)")
            let six = try await Connection.connect(to: "[::1]:\(port)", by: face)
            let other = try await listener.accept(by: face)
            #expect("\(other.remoteAddress)".hasPrefix("[::1]:"))
            for connection in [four, six, peer, other] { connection.close() }
            listener.close()
        }
    }

    @Test func aListenerOnAnIPv6AddressTakesNoIPv4() async throws {
        try await trial { _ in
            var isFree = false
            // The same port of the other family is free, unless another test has just got it.
            for _ in 0..<10 where !isFree {
                let listener = try Listener(on: "[::]:0")
                let four = try? Listener(on: "127.0.0.1:\(try #require(listener.address.port))")
                isFree = four != nil
                four?.close()
                listener.close()
            }
            #expect(isFree)
        }
    }

    @Test func aMachineWithoutIPv6ListensOnIPv4() async throws {
        try await trial { ledger in
            ledger.make(.socket, .fail(.addressFamilyNotSupported))
            let listener = try Listener(on: ":0")
            #expect("\(listener.address)".hasPrefix("0.0.0.0:"))
            let client = try await Connection(to: "127.0.0.1:\(try #require(listener.address.port))")
            client.close()
            listener.close()
        }
    }
}
