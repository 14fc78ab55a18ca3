import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("F9: the terminal is left as it was", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct TerminalFaultTests {
    /// The last is a crash: nothing of the command runs after it.
    @Test(arguments: [SIGINT, SIGTERM, SIGQUIT, SIGSEGV, SIGKILL], ["full", "half"])
    func howeverTheClientEnds(signal: CInt, duplex: String) async throws {
        let host = try Host()
        let terminal = try Terminal()
        let seen = terminal.gather()
        let before = settings(of: terminal)
        try await running(
            "connect", "127.0.0.1:\(host.port)", "--duplex", duplex, "--grace", "100ms",
            input: .descriptor(terminal.program), output: .descriptor(terminal.program),
            errors: .descriptor(terminal.program)
        ) { client in
            let peer = try await host.accept()
            terminal.type("hello\n")
            #expect(try peer.receive(5) == Array("hello".utf8))
            try peer.send("there\n")
            try await eventually(patience, "the reply") { seen.text.contains("there") }
            // While it runs too: typing is the terminal's, with its own line editing.
            #expect(settings(of: terminal) == before)
            client.send(signal)
            _ = try await client.end()
            #expect(settings(of: terminal) == before)
        }
    }

    @Test(arguments: ["full", "half"])
    func whenItIsStoppedAndContinued(duplex: String) async throws {
        let host = try Host()
        let terminal = try Terminal()
        let before = settings(of: terminal)
        try await running(
            "connect", "127.0.0.1:\(host.port)", "--duplex", duplex,
            input: .descriptor(terminal.program), output: .descriptor(terminal.program)
        ) { client in
            let peer = try await host.accept()
            for word in ["one\n", "two\n"] {
                terminal.type(word)
                #expect(try peer.receive(3) == Array(word.utf8.prefix(3)))
                if duplex == "full" { #expect(try peer.receive(1) == [10]) } else { try peer.send("reply\n") }
                client.send(SIGTSTP)
                // Without a shell that could continue it, the kernel lets SIGTSTP pass; SIGSTOP always stops.
                client.send(SIGSTOP)
                let pid = client.pid
                try await eventually(patience, "its stop") { contents(of: "/proc/\(pid)/stat").contains(") T ") }
                #expect(settings(of: terminal) == before)
                client.send(SIGCONT)
            }
            terminal.typeEnd()
            #expect(try peer.receiveText() == "")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(settings(of: terminal) == before)
        }
    }

    @Test(arguments: [SIGINT, SIGKILL])
    func howeverTheServerEnds(signal: CInt) async throws {
        let terminal = try Terminal()
        let before = settings(of: terminal)
        let path = temporaryPath("sock")
        try await running(
            "serve", "echo", path, input: .descriptor(terminal.program), output: .descriptor(terminal.program),
            errors: .descriptor(terminal.program)
        ) { server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            #expect(try Peer(path: path).echo("hello") == "hello")
            server.send(signal)
            _ = try await server.end()
            #expect(settings(of: terminal) == before)
        }
    }

    /// All that tcgetattr(3) tells.
    private func settings(of terminal: Terminal) -> [UInt8] {
        var found = termios()
        guard tcgetattr(terminal.program, &found) == 0 else { return [] }
        return withUnsafeBytes(of: &found) { Array($0) }
    }
}
