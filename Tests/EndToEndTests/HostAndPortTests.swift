import TestSupport
import Testing

/// `connect HOST PORT`, as nc and telnet take it, and as ssh's %h and %p give it.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct HostAndPortTests {
    @Test func anEmptyHostIsRefused() async throws {
        let done = try await pier("connect", "", "80")
        #expect(done.status == 2)
        expectOneSentence(done, "the host is empty")
    }

    @Test(arguments: ["127.0.0.1", "localhost", "127.0.0.1?ipv4=true", "tcp://127.0.0.1", "::ffff:127.0.0.1"])
    func aHostAndAPortAreTwoWords(host: String) async throws {
        try await serving("--show", "none") { server in
            let client = try await pier("connect", host, "\(server.port)", saying: "hello")
            #expect(client.status == 0, "\(client.errors)")
            #expect(client.output == "hello")
        }
    }

    @Test(arguments: ["::1", "[::1]", "::1%lo", "[::1%lo]"])
    func anIPv6AddressNeedsNoBrackets(host: String) async throws {
        try await running("serve", "echo", "[::1]:0", "--show", "none") { server in
            let line = try await server.errors.line(with: "listening")
            let port = try #require(line.split(separator: ":").last)
            let client = try await pier("connect", host, String(port), saying: "hello")
            #expect(client.status == 0, "\(client.errors)")
            #expect(client.output == "hello")
        }
    }

    @Test func datagramsToo() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await running("connect", "udp://127.0.0.1", "\(peer.port)", "--linger", "1ms") { client in
            client.write("hello")
            client.finishInput()
            let received = try peer.receiveFirst()
            #expect(received == Array("hello".utf8))
            #expect(try await client.end() == 0)
        }
    }
}
