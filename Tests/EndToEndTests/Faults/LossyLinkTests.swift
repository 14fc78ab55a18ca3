import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite(
    "B25: packets that are lost, late, doubled or changed", .inTurnOnThreads, .serialized,
    .enabled(if: LossyLink.isAvailable, "it takes network namespaces, python3 and /dev/net/tun; \(Namespace.whyNot)"),
    .timeLimit(.minutes(10)))
struct LossyLinkTests {
    /// Over the link to a relay, from there to an echo, and back.
    @Test(arguments: 1...3)
    func aStreamArrivesByteForByte(seed: Int) async throws {
        let (path, question) = (temporaryPath("question"), randomBytes(400_000))
        try makeFile(path, question)
        defer { unlink(path) }
        try await inNetwork { network in
            try await LossyLink.between(network, seed: seed) { link in
                let (place, echo) = (network.server.launcher, temporaryPath("sock"))
                try await running("serve", "echo", echo, "--show", "none", launcher: place) { server in
                    try await server.errors.line(with: "listening")
                    try await running("relay", "10.78.0.2:8520", echo, "-v", launcher: place) { relay in
                        try await relay.errors.line(with: "listening")
                        let client = try await pier(
                            "connect", "10.78.0.2:8520", launcher: network.client.launcher, input: .file(path))
                        #expect(client.status == 0, "\(client.errors)")
                        #expect(client.bytes == question)
                        try await relay.errors.line(
                            with: "closed: \(question.count) bytes received")
                        relay.send(SIGTERM)
                        #expect(try await relay.end() == 0)
                    }
                }
                try expectMischief(link)
            }
        }
    }

    /// A client that sends numbered datagrams and knows what may come back, and when nothing has for two seconds tells how
    /// many came, how many of them for the first time, and how many behind a later one.
    private static let asker = """
        import hashlib, socket
        def datagram(n): return b'%d %s' % (n, hashlib.sha256(b'%d' % n).hexdigest().encode() * (n % 20))
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(('10.78.0.2', 8520))
        came, last, late = [], -1, 0
        def take(wait):
            global last, late
            s.settimeout(wait)
            try: answer = s.recv(65536)
            except TimeoutError: return False
            n = int(answer.split()[0])
            assert answer == datagram(n), answer
            came.append(n)
            late += n < last
            last = max(last, n)
            return True
        for n in range(1500):
            s.send(datagram(n))
            take(0.002)
        while take(2): pass
        print(len(came), len(set(came)), late)
        """

    /// Each datagram that comes is one that was sent, whole and unchanged: some are missing, some come twice, some late.
    @Test(arguments: 1...3)
    func aDatagramArrivesAsItWasOrNotAtAll(seed: Int) async throws {
        try await throughTheLink(seed) { network in
            let client = try await outcome(of: network.client.launcher + ["python3", "-c", Self.asker])
            #expect(client.status == 0, "\(client.errors)")
            let counts = client.output.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
            try #require(counts.count == 3)
            #expect(counts[1] > 750 && counts[1] < 1500, "\(counts)")
            #expect(counts[0] > counts[1] && counts[2] > 0, "\(counts)")
        }
    }

    /// A dialogue goes on where a word is lost.
    @Test func aDialogueOfDatagramsGoesOn() async throws {
        try await throughTheLink(4) { network in
            let lines = (0..<150).map { "line \($0)" }
            let client = try await pier(
                "connect", "udp://10.78.0.2:8520", "--duplex", "half", "--linger", "300ms",
                launcher: network.client.launcher, saying: lines.map { $0 + "\n" }.joined())
            #expect(client.status == 0, "\(client.errors)")
            let replies = client.output.split(separator: "\n").filter { $0.contains("reply-->") }
            let known = Set(lines)
            #expect(replies.allSatisfy { known.contains(String($0.split(separator: ">").last ?? "")) })
            #expect(Set(replies).count > 75, "\(replies.count)")
        }
    }

    /// Runs `body` with an echo of datagrams at the other end of a link, which lives as long.
    private func throughTheLink(_ seed: Int, _ body: (Network) async throws -> Void) async throws {
        try await inNetwork { network in
            try await LossyLink.between(network, seed: seed) { link in
                try await running(
                    "serve", "echo", "udp://10.78.0.2:8520", "--show", "none", "--allow-remote-datagrams",
                    launcher: network.server.launcher
                ) { server in
                    try await server.errors.line(with: "listening")
                    try await body(network)
                    server.send(SIGTERM)
                    #expect(try await server.end() == 0)
                }
                try expectMischief(link)
            }
        }
    }

    /// The link did all that it is there for.
    private func expectMischief(_ link: Program) throws {
        let told = try #require(link.errors.lines.last)
        for word in ["lost", "doubled", "changed"] { #expect(!told.contains("'\(word)': 0"), "\(told)") }
    }
}
