import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Connections made elsewhere, their options, and who the peer is.
@Suite(.inTurn) struct AdoptingTests {
    @Test(arguments: Face.allCases)
    func aPairIsTwoEndsOfOneStream(_ face: Face) async throws {
        try await trial { _ in
            let (one, other) = try Connection.pair()
            #expect(one.origin == .paired && other.origin == .paired)
            try await one.send([1], by: face)
            try await other.send([2], by: face)
            #expect(try await other.receive(upTo: 9, by: face) == [1])
            #expect(try await one.receive(upTo: 9, by: face) == [2])
            one.close()
            #expect(try await other.receive(upTo: 9, by: face) == nil)
            other.close()
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func anAdoptedDescriptorIsAConnectionLikeAnyOther(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let copy = try server.withDescriptor { fcntl($0, F_DUPFD, 3) }
            let copied = OpenFile(copy)
            // A blocking one, as others make them.
            _ = fcntl(copy, F_SETFL, 0)
            let adopted = try Connection(adopting: copy)
            #expect(adopted.origin == .adopted && adopted.remoteAddress == server.remoteAddress)
            #expect(fcntl(copy, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(copy, F_GETFL) & O_NONBLOCK != 0)
            async let receive = adopted.receive(upTo: 9, by: face)
            try await client.send([1])
            #expect(try await receive == [1])
            adopted.close()
            try await eventually { !copied.isOpen }
        }
    }

    @Test func anAdoptedListenerAccepts() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            let first = try Listener(on: "unix:\(path)")
            let copy = try #require(first.socketDescription.map { dup($0.descriptor) })
            let listener = try Listener(adopting: copy)
            #expect(listener.address == first.address)
            let client = try await Connection(to: listener.endpoint)
            try await client.send([1])
            #expect(try await listener.accept().receive(upTo: 9) == [1])
            listener.close()
            // It did not make the path, so it leaves it.
            #expect(access(path, F_OK) == 0)
            first.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func whatIsNoConnectedStreamIsNotAdopted() async throws {
        try await trial { (ledger) async throws in
            let file = open("/dev/null", O_RDWR)
            let datagrams = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
            let unconnected = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            #expect(try await cause { try Connection(adopting: file) } == .system(.notSocket))
            #expect(try await cause { try Connection(adopting: datagrams) } == .system(.socketTypeNotSupported))
            #expect(try await cause { try Connection(adopting: unconnected) } == .system(.socketNotConnected))
            #expect(try await cause { try Connection(adopting: -1) } == .system(.badFileDescriptor))
            // What was refused is still the caller's.
            for descriptor in [file, datagrams, unconnected] { #expect(close(descriptor) == 0) }
            #expect(ledger.open.isEmpty)
        }
    }

    // MARK: - Options

    @Test(arguments: Kind.allCases)
    func optionsAreReadAndSet(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            if kind != .unix {
                #expect(try client.option(.noDelay) && server.option(.noDelay))
                try client.setOption(.noDelay, to: false)
                #expect(try client.option(.noDelay) == false)
                #expect(try client.option(.keepAlive) == false)
                try client.setOption(.keepAlive, to: true)
                #expect(try client.option(.keepAlive))
                try client.setOption(.keepAliveIdle, to: 77)
                #expect(try client.option(.keepAliveIdle) == 77)
                try client.setOption(.userTimeout, to: 5000)
                #expect(try client.option(.userTimeout) == 5000)
            }
            try client.setOption(.sendBuffer, to: 20_000)
            #expect(try client.option(.sendBuffer) == 40_000)
            #expect(try client.option(.pendingError) == nil)
            let description = try #require(client.socketDescription)
            #expect(fcntl(description.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    @Test func aUnixPeerIsKnownByItsProcessAndUser() async throws {
        try await trial(over: .unix) { ledger, client, server, listener in
            for end in [client, server] {
                let peer = try end.peerCredentials
                #expect(peer.process == getpid() && peer.user == geteuid() && peer.group == getegid())
            }
        }
        try await trial(over: .tcp4) { (ledger, client, server, listener) async throws in
            #expect(try await cause { try server.peerCredentials } == .system(.protocolNotAvailable))
        }
    }
}
