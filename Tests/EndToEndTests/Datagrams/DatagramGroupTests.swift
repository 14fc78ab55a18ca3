import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Multicast groups and broadcasts: the keys that an endpoint takes after `?`.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramGroupTests {
    /// A group of this process's own: 239.255.0.0/16 is for one site (RFC 2365).
    private static let group = "239.255.\(getpid() >> 8 & 0xff).\(getpid() & 0xff)"

    /// Sends a word to a group by the loopback, and prints the answer, if one is waited for.
    private static func say(_ word: String, to port: UInt16, awaitsAnswer: Bool = false) async throws -> Outcome {
        let script = """
            import socket, sys
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1'))
            s.settimeout(60)
            s.sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])))
            if sys.argv[4] == 'True': print(s.recv(100).decode(), end='')
            """
        let words = ["python3", "-c", script, group, "\(port)", word, awaitsAnswer ? "True" : "False"]
        return try await outcome(of: words)
    }

    private func port(of program: Program) async throws -> UInt16 {
        let line = try await program.errors.line(with: "listening udp://\(Self.group):")
        return UInt16(line.split(separator: ":").last ?? "") ?? 0
    }

    @Test(.enabled(if: Place.has("python3"))) func listenJoinsTheGroupThatItListensOn() async throws {
        let place = "udp://\(Self.group):0?interface=lo"
        try await running("listen", place, "--linger", "1ms", input: .file("/dev/null")) { member in
            let said = try await Self.say("hello", to: port(of: member))
            #expect(said.status == 0, "\(said.errors)")
            let status = try await member.end()
            #expect(status == 0)
            #expect(member.output.text == "hello")
        }
    }

    @Test func severalMembersOfAGroupMayBeOnOneMachine() async throws {
        let place = "udp://\(Self.group):\(try freeUDPPort())?interface=lo"
        try await running("listen", place, "--idle-timeout", "off") { first in
            try await first.errors.line(with: "listening")
            try await running("listen", place) { second in
                try await second.errors.line(with: "listening")
                let sent = try await pier("connect", place, "--linger", "1ms", saying: "to all")
                #expect(sent.status == 0, "\(sent.errors)")
                for member in [first, second] {
                    try await eventually(patience, "the datagram") { member.output.text == "to all" }
                }
            }
        }
    }

    @Test(.enabled(if: Place.has("python3")), arguments: ["tasks", "threads"])
    func serveAnswersQuestionsToItsGroup(model: String) async throws {
        try await running("serve", "echo", "udp://\(Self.group):0?interface=lo", "--model", model) { server in
            let answered = try await Self.say("hello", to: port(of: server), awaitsAnswer: true)
            #expect(answered.output == "hello", "\(answered.errors)")
        }
    }

    @Test(.enabled(if: Place.has("python3"))) func relayTakesWhatIsSentToAGroup() async throws {
        let target = try DatagramPeer(boundTo: "127.0.0.1")
        try await running("relay", "udp://\(Self.group):0?interface=lo", "udp://127.0.0.1:\(target.port)") { relay in
            let said = try await Self.say("hello", to: port(of: relay))
            #expect(said.status == 0, "\(said.errors)")
            let received = try target.receiveFirst()
            #expect(received == Array("hello".utf8))
        }
    }

    @Test(arguments: ["connect", "relay"]) func aBroadcastIsSentWhereItIsAllowed(verb: String) async throws {
        let everybody = try DatagramPeer(boundTo: "0.0.0.0")
        let place = "udp://127.255.255.255:\(everybody.port)"
        if verb == "connect" {
            let refused = try await pier("connect", place, saying: "hello")
            #expect(refused.status == 1)
            expectOneSentence(refused, "?broadcast=true")
            let sent = try await pier("connect", place + "?broadcast=true", "--linger", "1ms", saying: "hello")
            #expect(sent.status == 0, "\(sent.errors)")
            let received = try everybody.receiveFirst()
            #expect(received == Array("hello".utf8))
        } else {
            try await relaying("udp://127.0.0.1:0", place + "?broadcast=true") { relay in
                let sender = try relay.sender()
                try sender.send("hello")
                let received = try everybody.receiveFirst()
                #expect(received == Array("hello".utf8))
            }
        }
    }

    @Test(
        .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
        arguments: [
            ["listen", "udp://239.1.2.3:0"], ["serve", "echo", "udp://239.1.2.3:0"],
            ["relay", "udp://239.1.2.3:0", "udp://127.0.0.1:9"], ["connect", "udp://239.1.2.3:9"],
            ["listen", "udp://[ff02::4d]:0"],
        ])
    func withoutARouteTheAdviceNamesTheInterface(words: [String]) async throws {
        try await inNamespace { namespace in
            let refused = try await outcome(of: namespace.launcher + [Place.pier] + words)
            #expect(refused.status == 1)
            expectOneSentence(refused, words.last == "udp://[ff02::4d]:0" ? "its interface" : "?interface=eth0")
        }
    }

    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), arguments: ["239.1.2.3", "[ff02::4d]"])
    func aGroupIsReachedByTheInterfaceThatIsNamed(group: String) async throws {
        try await inNetwork { network in
            let words = [Place.pier, "listen", "udp://\(group):8520?interface=v2"]
            try await starting(network.server.launcher + words, input: .file("/dev/null")) { member in
                try await member.errors.line(with: "listening")
                // The first ones may be lost while the interface starts.
                for _ in 0..<30 where member.output.text.isEmpty {
                    let sent = try await outcome(
                        of: network.client.launcher
                            + [Place.pier, "connect", "udp://\(group):8520?interface=v1", "--linger", "100ms"],
                        saying: "hello")
                    #expect(sent.status == 0, "\(sent.errors)")
                }
                #expect(member.output.text.hasPrefix("hello"))
            }
        }
    }
}
