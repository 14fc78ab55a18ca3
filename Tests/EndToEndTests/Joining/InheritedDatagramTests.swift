import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `serve` and `relay` with datagram sockets that they were started with.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct InheritedDatagramTests {
    private static let models = ["blocking", "threads", "tasks", "callbacks"]

    @Test(arguments: models, ["fd:3", "systemd:web", "systemd:"])
    func oneIsServedLikeOneOfItsOwn(model: String, endpoint: String) async throws {
        let launcher = Passing.sockets(Passing.datagrams, names: ["web"])
        for show in ["none", "text"] {
            try await running(
                "serve", "echo", endpoint, "--model", model, "--show", show, launcher: launcher
            ) { server in
                let line = try await server.errors.line(with: "listening udp://127.0.0.1:")
                for text in ["one", "two"] {
                    #expect(try DatagramPeer(port: port(in: line)).ask(text) == text)
                }
                server.send(SIGTERM)
                #expect(try await server.end() == 0, "\(server.errors.text)")
            }
        }
    }

    @Test func allOfANameAreServedAndTheirPathsStay() async throws {
        let path = temporaryPath("sock")
        defer { unlink(path) }
        let launcher = Passing.sockets(
            Passing.datagrams, Passing.bound(path, "SOCK_DGRAM"), names: ["web", "web"])
        try await running("serve", "echo", "systemd:web", launcher: launcher) { server in
            let line = try await server.errors.line(with: "listening udp://127.0.0.1:")
            try await server.errors.line(with: "listening unix-dgram://\(path)")
            #expect(try DatagramPeer(port: port(in: line)).ask("one") == "one")
            #expect(try DatagramPeer(path: path).ask("two") == "two")
            server.send(SIGTERM)
            #expect(try await server.end() == 0, "\(server.errors.text)")
            #expect(access(path, F_OK) == 0)
        }
    }

    @Test(arguments: ["fd:3", "systemd:web"], ["udp", "unix-dgram"])
    func itsSendersAreRelayed(endpoint: String, kind: String) async throws {
        let path = temporaryPath("sock")
        defer { unlink(path) }
        let (peer, target) = try datagramTarget(kind)
        let make = kind == "udp" ? Passing.datagrams : Passing.bound(path, "SOCK_DGRAM")
        let launcher = Passing.sockets(make, names: ["web"])
        try await relaying(endpoint, target, "--linger", "100ms", launcher: launcher) { relay in
            let sender = try relay.sender()
            try sender.send("question")
            #expect(try peer.receiveFirst() == Array("question".utf8))
            try peer.send("answer")
            #expect(try sender.receive() == Array("answer".utf8))
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0, "\(relay.program.errors.text)")
        }
    }

    @Test func itMeetsAStreamWithAFraming() async throws {
        let host = try Host()
        let launcher = Passing.sockets(Passing.datagrams)
        let target = "127.0.0.1:\(host.port)"
        try await relaying("fd:3", target, "--frame", "lines", launcher: launcher) { relay in
            let sender = try relay.sender()
            try sender.send("one")
            let peer = try await host.accept()
            #expect(try peer.receive(4) == Array("one\n".utf8))
            try peer.send("two\n")
            #expect(try sender.receive() == Array("two".utf8))
        }
        let without = try await pier("relay", "fd:3", target, launcher: launcher)
        #expect(without.status == 2)
        expectOneSentence(without, "between fd:3 and tcp://\(target) a framing is needed")
    }

    /// It is there for one sender; the command ends when he has been silent.
    @Test(arguments: ["fd:3", "systemd:web"])
    func aConnectedOneIsATargetOnce(target: String) async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        let launcher = Passing.sockets(Passing.datagrams(to: peer.port), names: ["web"])
        try await relaying("udp://127.0.0.1:0", target, "--idle-timeout", "500ms", launcher: launcher) { relay in
            let sender = try relay.sender()
            try sender.send("question")
            #expect(try peer.receiveFirst() == Array("question".utf8))
            try peer.send("answer")
            #expect(try sender.receive() == Array("answer".utf8))
            #expect(try await relay.program.end() == 0, "\(relay.program.errors.text)")
        }
    }

    @Test(arguments: [
        ("relay udp://127.0.0.1:0 fd:3", "connected to nobody"),
        ("relay 127.0.0.1:0 fd:3 --frame lines", "connected to nobody"),
        ("relay udp://127.0.0.1:0 fd:4 --frame lines", "cannot be the target of datagrams"),
        ("relay fd:3 fd:3", "given twice"), ("relay fd:3 udp://127.0.0.1:9 127.0.0.1:9", "of one kind"),
        ("serve echo fd:3 systemd:a", "the same descriptor"), ("relay - fd:4", "it is a listening socket"),
        ("serve echo systemd:", "FileDescriptorName="), ("relay systemd: 127.0.0.1:9", "FileDescriptorName="),
    ])
    func whatCannotBeIsSaidAtOnce(words: String, part: String) async throws {
        let launcher = Passing.sockets(Passing.datagrams, Passing.listening, names: ["a", "b"])
        let command = try await outcome(of: launcher + [Place.pier] + words.split(separator: " ").map(String.init))
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    /// A path is the same socket, however it is written.
    @Test func aTargetThatIsItselfIsRefused() async throws {
        let path = temporaryPath("sock")
        defer { for path in [path, path + ".link"] { unlink(path) } }
        for target in [path, path + ".link"] {
            unlink(path)
            if target != path { #expect(symlink(path, target) == 0) }
            let launcher = Passing.sockets(Passing.bound(path, "SOCK_DGRAM"))
            let relay = try await pier("relay", "fd:3", "unix-dgram://\(target)", launcher: launcher)
            #expect(relay.status == 2)
            expectOneSentence(relay, "relayed to itself")
        }
    }

    private func port(in line: String) throws -> UInt16 {
        try #require(UInt16(line.split(separator: ":").last ?? ""))
    }
}
