import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Binding and connecting: where a datagram socket can be, and what is refused.
@Suite(.inTurn) struct DatagramMakingTests {
    @Test(arguments: DatagramKind.allCases)
    func aBoundSocketTellsWhereItIs(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let socket = try DatagramSocket(on: kind.endpoint)
            #expect(socket.transport == (kind.isUnix ? .unixDatagram : .udp))
            #expect(socket.remoteAddress == nil)
            #expect(try socket.localAddress == socket.endpoint.address)
            if !kind.isUnix { #expect(try socket.localAddress.port != 0) }
            #expect(try Endpoint("\(socket.endpoint)") == socket.endpoint)
            #expect(socket.socketDescription?.description.contains("SOCK_DGRAM") == true)
            socket.close()
            #expect(socket.isClosed)
            #expect(socket.socketDescription == nil)
            #expect(try await cause { try socket.localAddress } == .closed)
            socket.close()
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aConnectedSocketCanBeAnswered(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let client = try await DatagramSocket.connect(to: "\(server.endpoint)", by: face)
            #expect(client.remoteAddress == server.endpoint.address)
            try await client.send([1], by: face)
            let question = try await server.receive(by: face)
            #expect(question == Datagram(bytes: [1], sender: try client.localAddress))
            try await server.send([2], to: question.sender, by: face)
            #expect(try await client.receive(by: face) == Datagram(bytes: [2], sender: try server.localAddress))
            if case .unix(let address) = question.sender { #expect(address.kind == .abstract) }
            client.close()
            server.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aConnectedSocketGetsNothingFromOthers(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let other = try DatagramSocket(on: kind.endpoint)
            // UDP drops what a stranger sends; a Unix socket refuses it.
            let ended = try await cause { try await other.send([7], to: client.localAddress) }
            #expect(ended == (kind.isUnix ? .system(.notPermitted) : nil))
            try await server.send([1], to: client.localAddress)
            #expect(try await client.receive().bytes == [1])
            other.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aSourceIsWhereItSendsFrom(_ face: Face) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://127.0.0.1:0")
            let source = try SocketAddress("\(loopbackAddress()):0")
            let client = try await DatagramSocket.connect(to: "\(server.endpoint)", from: source, by: face)
            try await client.send([1], by: face)
            let sender = try await server.receive().sender
            #expect(sender == source.with(port: sender.port ?? 0))
            #expect(try sender == client.localAddress)
            client.close()
            server.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aNameIsResolvedWhenConnecting(_ face: Face) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://127.0.0.1:0")
            let port = try #require(try server.localAddress.port)
            let client = try await DatagramSocket.connect(to: "udp://localhost:\(port)", by: face)
            #expect(client.remoteAddress?.port == port)
            client.close()
            let alone = try await DatagramSocket.connect(to: "udp://:\(port)", by: face)
            #expect(alone.remoteAddress?.isLoopback == true)
            alone.close()
            server.close()
            let local = try DatagramSocket(on: "udp://localhost:0")
            #expect(try local.localAddress.isLoopback)
            local.close()
        }
    }

    /// The word that the error must hold, so that a person sees what would be right.
    @Test(arguments: [
        ("tcp://127.0.0.1:0", "udp"), ("127.0.0.1:0", "udp"), ("unix:/tmp/x.sock", "unix-dgram"),
        ("/tmp/x.sock", "unix-dgram"),
        ("unix://@name", "unix-dgram"), ("-", ""), ("udp://example.com:0", "address"), ("udp://127.0.0.1:70000", ""),
        ("udb://127.0.0.1:0", "udp"),
    ])
    func anEndpointThatIsNoPlaceToBindIsRefused(_ text: String, _ word: String) async throws {
        try await trial { (ledger) async throws in
            do {
                let socket = try DatagramSocket(on: text)
                socket.close()
                Issue.record("\(text) was bound")
            } catch let error as SocketError {
                guard case .endpoint(let reason) = error.cause else {
                    Issue.record("\(error)")
                    return
                }
                #expect("\(reason)".contains(word))
                #expect(ledger.count(of: .socket) == 0)
            }
        }
    }

    @Test(
        arguments: [
            ("tcp://127.0.0.1:9", "udp"), ("127.0.0.1:9", "udp"), ("unix:/tmp/x.sock", "unix-dgram"),
            ("unix://@name", "unix-dgram"), ("-", ""), ("udp://127.0.0.1:0", "port"), ("udp://localhost:0", "port"),
        ], Face.allCases)
    func anEndpointThatIsNoPlaceToConnectToIsRefused(_ place: (String, String), _ face: Face) async throws {
        try await trial { ledger in
            do {
                let socket = try await DatagramSocket.connect(to: place.0, by: face)
                socket.close()
                Issue.record("\(place.0) was connected to")
            } catch let error as SocketError {
                guard case .endpoint(let reason) = error.cause else {
                    Issue.record("\(error)")
                    return
                }
                #expect("\(reason)".contains(place.1))
                #expect(ledger.count(of: .socket) == 0)
            }
        }
    }

    @Test(arguments: [("udp6", "udp://[::1]:0", "127.0.0.1:0"), ("unix", "unix-dgram://@x", "127.0.0.1:0")])
    func aSourceOfAnotherFamilyIsAnErrorAndLeavesNothingOpen(_ place: (String, String, String)) async throws {
        try await trial { ledger in
            let server = try DatagramSocket(on: place.0 == "unix" ? DatagramKind.unixAbstract.endpoint : place.1)
            let source = try SocketAddress(place.2)
            let ended = try await cause { try await DatagramSocket(to: server.endpoint, from: source) }
            #expect(ended != nil)
            #expect(ledger.open.count == 1)
            server.close()
        }
    }

    /// UDP has no TIME_WAIT, so SO_REUSEADDR would only let two sockets steal from each other.
    @Test(arguments: DatagramKind.allCases)
    func anAddressIsOneSocketsOnly(_ kind: DatagramKind) async throws {
        try await trial { ledger in
            let first = try DatagramSocket(on: kind.endpoint)
            #expect(try await cause { try DatagramSocket(on: first.endpoint) } == .system(.addressInUse))
            #expect(ledger.open.count == 1)
            if !kind.isUnix { #expect(try first.option(.reuseAddress) == false) }
            // The first is none the worse.
            let client = try await DatagramSocket(to: first.endpoint)
            try await client.send([1])
            #expect(try await first.receive().bytes == [1])
            client.close()
            first.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aPairIsTwoEndsThatTalkOnlyToEachOther(_ face: Face) async throws {
        try await trial { _ in
            let (one, other) = try DatagramSocket.pair()
            #expect(one.transport == .unixDatagram)
            try await one.send([], by: face)
            try await one.send([1, 2], by: face)
            try await other.send([3], by: face)
            #expect(try await other.receive(by: face).bytes == [])
            #expect(try await other.receive(by: face).bytes == [1, 2])
            #expect(try await one.receive(by: face).bytes == [3])
            one.close()
            // Not at once, while another test starts a program: until that runs, it has a copy of every descriptor.
            while try await cause({ try await other.send([1], by: face) }) == nil {}
            other.close()
        }
    }

    @Test func aSocketMadeElsewhereIsTakenOver() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: "udp://127.0.0.1:0")
            let descriptor = Glibc.socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
            let adopted = try DatagramSocket(adopting: descriptor)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            try await adopted.send([5], to: server.localAddress)
            let question = try await server.receive()
            try await server.send([6], to: question.sender)
            #expect(try await adopted.receive() == Datagram(bytes: [6], sender: try server.localAddress))
            adopted.close()
            server.close()
        }
    }

    @Test func whatIsNoDatagramSocketIsNotTakenOver() async throws {
        try await trial { (_) async throws in
            let stream = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            #expect(try await cause { try DatagramSocket(adopting: stream) } != nil)
            // It is the caller's still.
            #expect(isOpen(stream))
            Glibc.close(stream)
            let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
            #expect(try await cause { try DatagramSocket(adopting: file) } != nil)
            #expect(isOpen(file))
            Glibc.close(file)
            #expect(try await cause { try DatagramSocket(adopting: -1) } != nil)
        }
    }

    @Test func aSocketThatIsLetGoIsClosed() async throws {
        try await trial { _ in
            let path = temporaryPath("dgram")
            do { _ = try DatagramSocket(on: "unix-dgram:\(path)") }
            #expect(access(path, F_OK) != 0)
        }
    }
}

extension Endpoint {
    /// Its address, where it has one.
    var address: SocketAddress? {
        if case .address(let address) = place { address } else { nil }
    }
}
