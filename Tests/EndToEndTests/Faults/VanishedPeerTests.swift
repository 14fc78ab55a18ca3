import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite(
    "B10: the other machine is gone without a word", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct VanishedPeerTests {
    @Test(arguments: ["full", "half", "receive"])
    func aClientThatOnlyWaitsFindsOut(duplex: String) async throws {
        try await inNetwork { network in
            // How often what was sent is sent again before the system gives up; 15 otherwise, which takes some 15 minutes.
            try network.client.set("net.ipv4.tcp_retries2", "3")
            try await running(
                "serve", "echo", "10.77.0.2:8520", "--trace", launcher: network.server.launcher
            ) { server in
                try await server.errors.line(with: "listening")
                try await running(
                    "connect", "10.77.0.2:8520?keep-alive=1s", "--duplex", duplex, launcher: network.client.launcher
                ) { client in
                    if duplex != "receive" {
                        client.write("hello\n")
                        try await eventually(patience, "the reply") { client.output.text.contains("hello") }
                    }
                    try await server.errors.line(with: "accepted <")
                    try cut(network)
                    let start = ContinuousClock.now
                    // In turns it listens only for replies. What it sends is tried again and again first.
                    if duplex == "half" { client.write("anybody there?\n") }
                    #expect(try await client.end() == 3)
                    #expect(client.errors.text.contains("timed out"), "\(client.errors.text)")
                    #expect(ContinuousClock.now - start < .seconds(60))
                }
            }
        }
    }

    /// Silent, or in the middle of being sent something that it no longer takes.
    @Test(arguments: ["tasks", "callbacks", "threads"], [true, false])
    func aServerEndsAVanishedClientAtTheIdleTime(model: String, isStuck: Bool) async throws {
        try await inNetwork { network in
            try await running(
                "serve", "echo", "10.77.0.2:8520", "--model", model, "--idle-timeout", "3s", "--show", "none",
                "--trace",
                launcher: network.server.launcher
            ) { server in
                try await server.errors.line(with: "listening")
                let pid = server.pid
                let before = socketCount(of: pid)
                try await running(
                    "connect", "10.77.0.2:8520", launcher: network.client.launcher,
                    input: isStuck ? .file("/dev/zero") : .pipe, output: isStuck ? .unread : .pipe
                ) { client in
                    if isStuck {
                        // It sends without end and does not take what comes back, because nobody reads its output.
                        try await server.errors.line(with: "accepted <")
                    } else {
                        client.write("hello")
                        try await client.output.begins(with: "hello")
                    }
                    try cut(network)
                    try await eventually(patience, "the end of the client") { socketCount(of: pid) == before }
                }
                server.send(SIGTERM)
                #expect(try await server.end() == 0)
            }
        }
    }

    /// From now on nothing gets through, either way, and nobody is told.
    private func cut(_ network: Network) throws {
        try network.client.outgoing("drop")
        try network.server.outgoing("drop")
    }
}

@Suite(
    "B26: packets that are too large for the way", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct SmallPacketTests {
    private static let size = 1 << 20

    @Test func aSmallMTUCarriesEverything() async throws {
        try await inNetwork { network in
            try network.client.ip("link", "set", "v1", "mtu", "600")
            try network.server.ip("link", "set", "v2", "mtu", "600")
            try await exchange(network) { client, question in
                let status = try await client.end()
                #expect(status == 0, "\(client.errors.text)")
                #expect(client.output.bytes == question)
            }
        }
    }

    /// Large packets are lost and nobody is told: small ones pass, so the connection looks alive. The client's system gives
    /// up, after tries that are few here; a server with something to send gives up at its idle time.
    @Test func whereOnlySmallOnesPassNothingHangs() async throws {
        try await inNetwork { network in
            for namespace in [network.client, network.server] {
                try namespace.set("net.ipv4.tcp_retries2", "2")
                try namespace.rules(
                    """
                    add table inet hole
                    add chain inet hole in { type filter hook input priority 0; }
                    add rule inet hole in meta length > 600 drop

                    """)
            }
            try await exchange(network) { client, _ in
                let status = try await client.end()
                #expect(status == 3, "\(client.errors.text)")
                #expect(client.errors.text.contains("timed out"), "\(client.errors.text)")
            }
        }
    }

    private func exchange(_ network: Network, _ body: (Program, [UInt8]) async throws -> Void) async throws {
        let path = temporaryPath("question")
        let question = randomBytes(Self.size)
        try makeFile(path, question)
        defer { unlink(path) }
        try await running(
            "serve", "echo", "10.77.0.2:8520", "--idle-timeout", "5s", "--show", "none",
            launcher: network.server.launcher
        ) { server in
            try await server.errors.line(with: "listening")
            let pid = server.pid
            let before = socketCount(of: pid)
            try await running("connect", "10.77.0.2:8520", launcher: network.client.launcher, input: .file(path)) {
                client in try await body(client, question)
            }
            try await eventually(patience, "the end of the client") { socketCount(of: pid) == before }
        }
    }
}

@Suite(
    "B27: the cable is pulled, and put back", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct PulledCableTests {
    /// Runs an echo in the server's namespace, straight or behind a relay, and gives who listens at 10.77.0.2:8520.
    private func serving(
        _ network: Network, isRelayed: Bool, _ body: (Program) async throws -> Void
    ) async throws {
        let (place, path) = (network.server.launcher, temporaryPath("sock"))
        let endpoint = isRelayed ? path : "10.77.0.2:8520"
        try await running("serve", "echo", endpoint, "--show", "none", launcher: place) { server in
            try await server.errors.line(with: "listening")
            guard isRelayed else { return try await body(server) }
            try await running("relay", "10.77.0.2:8520", path, "--keep-alive", "1s", launcher: place) { relay in
                try await relay.errors.line(with: "listening")
                try await body(relay)
            }
        }
    }

    @Test(arguments: [false, true]) func aShortBreakIsSurvived(isRelayed: Bool) async throws {
        try await inNetwork { network in
            try await serving(network, isRelayed: isRelayed) { _ in
                try await running("connect", "10.77.0.2:8520", launcher: network.client.launcher) { client in
                    client.write("before\n")
                    try await client.output.begins(with: "before\n")
                    try network.client.ip("link", "set", "v1", "down")
                    client.write("meanwhile\n")
                    let start = ContinuousClock.now
                    try await eventually { ContinuousClock.now - start > .milliseconds(500) }
                    #expect(client.ending == nil)
                    try network.client.ip("link", "set", "v1", "up")
                    try await client.output.begins(with: "before\nmeanwhile\n")
                    client.finishInput()
                    #expect(try await client.end() == 0)
                }
            }
        }
    }

    @Test(arguments: [false, true]) func anAddressThatIsTakenAwayAndGivenBackIsSurvived(isRelayed: Bool) async throws {
        try await inNetwork { network in
            try await serving(network, isRelayed: isRelayed) { _ in
                try await running("connect", "10.77.0.2:8520", launcher: network.client.launcher) { client in
                    client.write("before\n")
                    try await client.output.begins(with: "before\n")
                    try network.client.ip("addr", "del", "10.77.0.1/24", "dev", "v1")
                    client.write("meanwhile\n")
                    let start = ContinuousClock.now
                    try await eventually { ContinuousClock.now - start > .milliseconds(500) }
                    #expect(client.ending == nil)
                    try network.client.ip("addr", "add", "10.77.0.1/24", "dev", "v1")
                    try await client.output.begins(with: "before\nmeanwhile\n")
                    client.finishInput()
                    #expect(try await client.end() == 0)
                }
            }
        }
    }

    /// The client hears of it, and a relay closes what it had for him.
    @Test func anAddressThatStaysAwayIsAnErrorOnBothSides() async throws {
        try await inNetwork { network in
            for namespace in [network.client, network.server] {
                // How often what was sent is sent again before the system gives up; 15 otherwise, some 15 minutes.
                try namespace.set("net.ipv4.tcp_retries2", "3")
            }
            try await serving(network, isRelayed: true) { relay in
                let pid = relay.pid
                let before = socketCount(of: pid)
                try await running("connect", "10.77.0.2:8520", launcher: network.client.launcher) { client in
                    client.write("before\n")
                    try await client.output.begins(with: "before\n")
                    try network.client.ip("addr", "del", "10.77.0.1/24", "dev", "v1")
                    client.write("meanwhile\n")
                    let status = try await client.end()
                    #expect(status == 3 || status == 1, "\(status)")
                    #expect(client.errors.lines.count == 1, "\(client.errors.text)")
                    try await eventually(patience, "the end of the relay's two") { socketCount(of: pid) == before }
                }
                relay.send(SIGTERM)
                #expect(try await relay.end() == 0)
            }
        }
    }
}
