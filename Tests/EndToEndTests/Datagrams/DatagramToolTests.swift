import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Programs that others wrote, as clients and as servers of datagrams.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramToolTests {
    // MARK: As clients

    @Test(.enabled(if: Place.has("nc"), "nc is not installed"), arguments: models)
    func netcatIsAnswered(model: String) async throws {
        try await servingDatagrams("echo", "--model", model) { server in
            try await starting(["nc", "-u", "127.0.0.1", "\(server.port())"]) { client in
                client.write("hello\n")
                try await client.output.begins(with: "hello\n")
                client.write("深水\n")
                try await client.output.begins(with: "hello\n深水\n")
            }
            try await server.program.output.line(with: " received-->深水")
        }
    }

    @Test(.enabled(if: Place.has("socat"), "socat is not installed"), arguments: models)
    func socatIsAnsweredOverUDPAndUnix(model: String) async throws {
        let (path, own) = (temporaryPath("sock"), temporaryPath("client"))
        defer { unlink(own) }
        let endpoints = ["udp://127.0.0.1:0", "udp://[::1]:0", "unix-dgram://\(path)"]
        try await servingDatagrams(at: endpoints, "--model", model) { server in
            for address in [
                "UDP:127.0.0.1:\(server.port())", "UDP6:[::1]:\(server.port(1))", "UNIX-SENDTO:\(path),bind=\(own)",
            ] {
                try await starting(["socat", "-", address]) { client in
                    client.write("hello\n")
                    try await client.output.begins(with: "hello\n")
                }
            }
            try await server.program.output.line(with: "\(own) received-->hello")
        }
    }

    @Test(.enabled(if: Place.has("python3"), "python3 is not installed"), arguments: models)
    func pythonsSocketsAreAnswered(model: String) async throws {
        let (path, own) = (temporaryPath("sock"), temporaryPath("client"))
        defer { unlink(own) }
        try await servingDatagrams(at: ["udp://127.0.0.1:0", "unix-dgram://\(path)"], "--model", model) { server in
            let client = """
                import socket
                def talk(family, own, server):
                    s = socket.socket(family, socket.SOCK_DGRAM)
                    s.settimeout(20)
                    s.bind(own)
                    for text in (b'hello', b'', bytes(range(256))):
                        s.sendto(text, server)
                        answer, sender = s.recvfrom(1000)
                        assert answer == text, answer
                        assert sender == server, sender
                talk(socket.AF_INET, ('127.0.0.1', 0), ('127.0.0.1', \(server.port())))
                talk(socket.AF_UNIX, '\(own)', '\(path)')
                """
            let python = try await outcome(of: ["python3", "-c", client])
            #expect(python.status == 0, "\(python.errors)")
        }
    }

    // MARK: As servers

    /// Runs a server that others wrote, and talks to it with `connect`.
    private func connecting(
        to place: String, of server: [String], listens: @escaping @Sendable () -> Bool
    ) async throws {
        // A server's own children end with it: timeout(1) has a group for them.
        try await starting(["timeout", "60"] + server, input: .file("/dev/null")) { server in
            try await eventually(patience, "listening; so far: \(server.errors.text)", listens)
            try await running("connect", place, "--linger", "300ms") { client in
                client.write("hello\n")
                try await client.output.begins(with: "hello\n")
                client.finishInput()
                #expect(try await client.end() == 0, "\(client.errors.text)")
                #expect(client.output.text == "hello\n" && client.errors.text.isEmpty)
            }
            let expected = "--->reply-->one\n--->reply-->two\n--->"
            let dialogue = try await connectingPatiently(
                place, "--duplex", "half", linger: .milliseconds(300), saying: "one\ntwo\n",
                isAnswered: { $0.output == expected })
            #expect(dialogue.output == expected, "\(dialogue.errors)")
            server.send(SIGTERM)
            _ = try await server.end()
        }
    }

    @Test(.enabled(if: Place.has("socat") && Place.has("timeout"), "socat or timeout is not installed"))
    func connectTalksWithSocatsServers() async throws {
        for (address, program) in [("UDP-RECVFROM", "EXEC:cat"), ("UDP-RECVFROM", "PIPE"), ("UDP-LISTEN", "PIPE")] {
            let port = try freeUDPPort()
            let server = ["socat", "-T", "2", "\(address):\(port),bind=127.0.0.1,fork", program]
            try await connecting(to: "udp://127.0.0.1:\(port)", of: server) { isBound(udpPort: port) }
        }
        let path = temporaryPath("sock")
        defer { unlink(path) }
        let server = ["socat", "-T", "2", "UNIX-RECVFROM:\(path),fork", "EXEC:cat"]
        try await connecting(to: "unix-dgram://\(path)", of: server) { access(path, F_OK) == 0 }
    }

    @Test(.enabled(if: Place.has("python3") && Place.has("timeout"), "python3 or timeout is not installed"))
    func connectTalksWithPythonsServers() async throws {
        let path = temporaryPath("sock")
        defer { unlink(path) }
        let port = try freeUDPPort()
        for (place, family, address) in [
            ("udp://127.0.0.1:\(port)", "AF_INET", "('127.0.0.1', \(port))"),
            ("unix-dgram://\(path)", "AF_UNIX", "'\(path)'"),
        ] {
            let script = """
                import socket
                s = socket.socket(socket.\(family), socket.SOCK_DGRAM)
                s.bind(\(address))
                while True:
                    datagram, sender = s.recvfrom(70000)
                    s.sendto(datagram, sender)
                """
            try await connecting(to: place, of: ["python3", "-c", script]) {
                family == "AF_INET" ? isBound(udpPort: port) : access(path, F_OK) == 0
            }
        }
    }
}
