import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 4, 8 and 9 of the contract, for datagrams: signals, exit codes and paths.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramEndingTests {
    private static let signals: [CInt] = [SIGINT, SIGTERM]

    @Test(arguments: [SIGINT, SIGTERM], models)
    func aServerEndsAtTheFirstSignalAndRemovesItsPath(signal: CInt, model: String) async throws {
        let path = temporaryPath("sock")
        // Not an address on which others get a port for the asking, this one's too when it is free again.
        let endpoints = ["udp://\(loopbackAddress()):0", "unix-dgram://\(path)"]
        for isUsed in [false, true] {
            try await servingDatagrams(at: endpoints, "--model", model, "--grace", "1m") { server in
                var status = stat()
                #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
                if isUsed {
                    for index in 0..<2 { #expect(try server.sender(to: index).ask("hello") == "hello") }
                }
                server.program.send(signal)
                // Nothing is under way, though senders are known: the grace is not waited for.
                let code = try await server.program.end()
                #expect(code == 0)
                #expect(access(path, F_OK) != 0)
                #expect(!isBound(udpPort: server.port(), of: server.host()))
            }
        }
    }

    @Test(arguments: models)
    func aStalePathIsTakenOverAndOneThatIsServedIsNot(model: String) async throws {
        let path = temporaryPath("sock")
        let endpoint = "unix-dgram://\(path)"
        try await servingDatagrams(at: [endpoint], "--model", model) { server in
            let second = try await pier("serve", "echo", endpoint, "--model", model)
            #expect(second.status == 1)
            expectOneSentence(second, path)
            #expect(try server.sender().ask("still") == "still")
            server.program.send(SIGKILL)
            #expect(try await server.program.end() == -9)
            #expect(access(path, F_OK) == 0)
            try await servingDatagrams(at: [endpoint], "--model", model) { server in
                #expect(try server.sender().ask("hello") == "hello")
                try await server.end()
            }
        }
        // What is no socket stays as it is.
        try makeFile(path, [1])
        defer { unlink(path) }
        let other = try await pier("serve", "echo", endpoint)
        #expect(other.status == 1 && bytes(of: path) == [1])
        expectOneSentence(other, path)
    }

    /// A datagram is gone when it is sent, so nothing is waited for.
    @Test(arguments: signals, ["full", "half", "send", "receive"])
    func aSignalEndsConnectAtOnce(signal: CInt, duplex: String) async throws {
        try await servingDatagrams { server in
            try await running(
                "connect", server.places[0], "--duplex", duplex, "--linger", "1h", "--grace", "1h", "-v"
            ) { client in
                try await client.errors.line(with: "connected")
                client.write("hello\n")
                if duplex != "receive" { try await server.program.output.line(with: "received-->hello") }
                client.send(signal)
                #expect(try await client.end() == -signal, "\(client.errors.text)")
            }
        }
    }
}
