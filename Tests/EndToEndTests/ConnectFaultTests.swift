import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// Faults between two machines as the command's user meets them: `pier connect` in one network, a server in another. The
// suites bear the names of the rows of the table of faults.

extension Network {
    /// Runs `pier serve echo` in the server's network while `body` runs.
    fileprivate func serving<R>(_ endpoint: String = ":8520", _ body: (Program) async throws -> R) async throws -> R {
        try await running("serve", "echo", endpoint, launcher: server.launcher, input: .file("/dev/null")) { program in
            try await program.errors.line(with: "listening tcp://")
            return try await body(program)
        }
    }

    /// Runs `pier connect` in the client's network, sends it a line and has it end.
    fileprivate func connect(_ words: String...) async throws -> Outcome {
        try await outcome(of: client.launcher + [Place.pier, "connect"] + words, saying: "hello\n")
    }
}

@Suite(
    "B22: the first address of a name is dead, as the command sees it", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .serialized, .timeLimit(.minutes(10)))
struct DeadAddressTests {
    private let hosts = "127.0.0.1 localhost\nfd77::2 both\n10.77.0.2 both\n10.77.0.2 four\n"

    @Test func theSecondAddressIsUsedAndTheTraceTellsTheRace() async throws {
        try await inNetwork { network in
            // Of a global IPv6 address and an IPv4 one, the first is preferred (RFC 6724).
            try network.client.hosts("10.77.0.2 both\n2001:db8::2 both\n")
            try network.client.ip("addr", "add", "2001:db8::1/64", "dev", "v1", "nodad")
            try network.server.ip("addr", "add", "2001:db8::2/64", "dev", "v2", "nodad")
            try network.server.incoming("meta nfproto ipv6 tcp dport 8520 drop")
            try await network.serving { server in
                let client = try await network.connect("both:8520", "--trace")
                #expect(client.status == 0 && client.output == "hello\n")
                let told = client.errors.split(separator: "\n").map(String.init)
                #expect(told.contains("attempt 1 of 2: [2001:db8::2]:8520"))
                let second = /attempt 2 of 2: 10\.77\.0\.2:8520, (\d+\.\d{3}) s after the first/
                let delay = told.compactMap { $0.wholeMatch(of: second) }.first.flatMap { Double($0.1) }
                #expect(try #require(delay) >= 0.250)
                #expect(try #require(delay) < 20)
                #expect(
                    told.contains { $0.hasPrefix("[2001:db8::2]:8520: ") && $0.hasSuffix("until it lost the race") })
                #expect(told.contains { $0.hasPrefix("connected ") && $0.contains("remote=10.77.0.2:8520>") })
            }
        }
    }

    @Test func aFamilyCanBeChosen() async throws {
        try await inNetwork { network in
            try network.client.hosts(hosts)
            try await network.serving { server in
                for flag in ["-4", "--ipv4"] { #expect(try await network.connect("both:8520", flag).status == 0) }
                try await server.output.line(with: "10.77.0.1:")
                #expect(!server.output.text.contains("fd77"))
                #expect(try await network.connect("both:8520?ipv6=true").status == 0)
                try await server.output.line(with: "[fd77::1]:")
                #expect(try await network.connect("-6", "both:8520").status == 0)
                let none = try await network.connect("-6", "four:8520")
                #expect(none.status == 1)
                expectOneSentence(none, "four: it has no IPv6 address, only IPv4 ones")
            }
        }
    }

    @Test func aSourceCanBeChosen() async throws {
        try await inNetwork { network in
            try network.client.hosts(hosts)
            try network.client.ip("addr", "add", "10.77.0.9/24", "dev", "v1")
            try await network.serving { server in
                // Of the name's addresses only the one of the source's family is tried.
                #expect(try await network.connect("both:8520", "--source", "10.77.0.9").status == 0)
                try await server.output.line(with: "10.77.0.9:")
                #expect(try await network.connect("both:8520?source=10.77.0.9:4000").status == 0)
                try await server.output.line(with: "10.77.0.9:4000 received-->hello")
                #expect(try await network.connect("both:8520", "--source", "[fd77::1]:0").status == 0)
                try await server.output.line(with: "[fd77::1]:")
                let foreign = try await network.connect("both:8520", "--source", "192.0.2.1")
                #expect(foreign.status == 1)
                expectOneSentence(foreign, "this machine has no such address")
            }
        }
    }
}

@Suite(
    "B2, B3, B18: a network that does not let the command through", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .serialized, .timeLimit(.minutes(10)))
struct NoWayThroughTests {
    @Test("B2: no answer is exit code 3 when the time is over") func noAnswer() async throws {
        try await inNetwork { network in
            try network.server.incoming("tcp dport 8520 drop")
            let client = try await network.connect("10.77.0.2:8520", "--timeout", "300ms")
            #expect(client.status == 3)
            expectOneSentence(client, "connect tcp 10.77.0.2:8520: timed out; ")
        }
    }

    @Test("B2: a signal ends the wait for an answer at once", arguments: ["10.77.0.2:8520", "both:8520"])
    func aSignalEndsTheWait(_ endpoint: String) async throws {
        try await inNetwork { network in
            try network.client.hosts("fd77::2 both\n10.77.0.2 both\n")
            try network.server.incoming("tcp dport 8520 drop")
            try await running("connect", endpoint, "--trace", launcher: network.client.launcher) { client in
                try await client.errors.line(with: "created ")
                client.send(2)
                #expect(try await client.end() == -SIGINT)
            }
        }
    }

    @Test(
        "B3: a router's refusal is one sentence",
        arguments: [
            ("icmp type host-unreachable", "10.77.0.2:8520", "no route to host; check the address"),
            ("icmpv6 type admin-prohibited", "[fd77::2]:8520", "permission denied; a firewall forbids it"),
        ])
    func aRoutersRefusal(_ reject: String, _ endpoint: String, _ words: String) async throws {
        try await inNetwork { network in
            try network.server.incoming("tcp dport 8520 reject with \(reject)")
            let client = try await network.connect(endpoint)
            #expect(client.status == 1)
            expectOneSentence(client, "connect tcp \(endpoint): \(words)")
        }
    }

    @Test("B18: no local port left is one sentence") func noPortLeft() async throws {
        try await inNetwork { network in
            try network.client.set("net.ipv4.ip_local_port_range", "32768 32768")
            try await network.serving { server in
                try await running("connect", "10.77.0.2:8520", "--trace", launcher: network.client.launcher) { first in
                    try await first.errors.line(with: "connected ")
                    let second = try await network.connect("10.77.0.2:8520")
                    #expect(second.status == 1)
                    expectOneSentence(second, "no local port is free for it")
                    first.finishInput()
                    #expect(try await first.end() == 0)
                }
            }
        }
    }
}

@Suite(
    "B20, B21: one family only, as the command sees it", .inTurnOnThreads,
    .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .serialized, .timeLimit(.minutes(10)))
struct OneFamilyTests {
    @Test("B20: without IPv6 a name that has it is reached over IPv4") func withoutIPv6() async throws {
        try await inNetwork { network in
            for which in ["all", "default", "lo", "v1"] {
                try network.client.set("net.ipv6.conf.\(which).disable_ipv6", "1")
            }
            try network.client.hosts("fd77::2 both\n10.77.0.2 both\n")
            try await network.serving { server in
                let client = try await network.connect("both:8520")
                #expect(client.status == 0 && client.output == "hello\n")
                try await server.output.line(with: "10.77.0.1:")
            }
        }
    }

    @Test("B21: a link-local address with its zone is connected to and printed back") func linkLocal() async throws {
        try await inNetwork { network in
            try await network.serving("[fe80::2%v2]:8520") { server in
                try await server.errors.line(with: "listening tcp://[fe80::2%v2]:8520")
                let client = try await network.connect("[fe80::2%v1]:8520", "--trace")
                #expect(client.status == 0 && client.output == "hello\n")
                #expect(client.errors.contains("remote=[fe80::2%v1]:8520>"))
                try await server.output.line(with: "[fe80::1%v2]:")
            }
        }
    }
}
