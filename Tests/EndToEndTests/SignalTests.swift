import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lines 4 and 8 of the contract: what signals do, and the exit codes that come of them.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct SignalTests {
    private static let models = ["tasks", "callbacks", "threads", "blocking"]
    private static let signals: [CInt] = [SIGINT, SIGTERM, SIGHUP]

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP], models)
    func aServerWithoutClientsEndsAtTheFirstSignalWithZero(signal: CInt, model: String) async throws {
        try await serving("--model", model, "--grace", "1m") { server in
            server.program.send(signal)
            let code = try await server.program.end()
            #expect(code == 0)
        }
    }

    @Test(arguments: models)
    func theFirstSignalStopsAcceptingAndLetsTheClientsFinish(model: String) async throws {
        try await serving("--model", model, "--grace", "1m") { server in
            let client = try server.client()
            #expect(try client.echo("before") == "before")
            server.program.send(SIGTERM)
            try await eventually(patience, "refusing") { (try? Peer(port: server.port)) == nil }
            #expect(try client.echo("after") == "after")
            client.finish()
            #expect(try client.receiveText() == "")
            #expect(try await server.program.end() == 0)
            #expect(server.program.output.lines.count == 2)
        }
    }

    @Test(arguments: signals, models)
    func theSecondSignalEndsAtOnce(signal: CInt, model: String) async throws {
        try await serving("--model", model, "--grace", "1h") { server in
            let client = try server.client()
            #expect(try client.echo("hello") == "hello")
            server.program.send(signal)
            try await eventually(patience, "refusing") { (try? Peer(port: server.port)) == nil }
            #expect(server.program.ending == nil)
            server.program.send(signal)
            #expect(try await server.program.end() == -signal)
        }
    }

    @Test func theSecondSignalEndsAtOnceThoughNobodyReadsTheOutput() async throws {
        try await running(
            "serve", "echo", "127.0.0.1:0", "--show", "hex", "--grace", "1h", output: .unread
        ) { program in
            let port = try await listeningPort(of: program)
            let peer = try Peer(port: port)
            // Far more than a pipe holds. The kernel takes it at once, and the server only as far as it can show it.
            for _ in 0..<64 where peer.canSend(within: 500) { try peer.send(randomBytes(16384)) }
            try await program.hasFilledItsOutput()
            program.send(SIGTERM)
            // Two at once would be one to the kernel.
            try await eventually(patience, "refusing") { (try? Peer(port: port)) == nil }
            program.send(SIGTERM)
            #expect(try await program.end() == -SIGTERM)
            // Without this it could be closed after its last use above, and then nothing would be left to wait for.
            withExtendedLifetime(peer) {}
        }
    }

    @Test(arguments: signals, models)
    func aGraceThatRunsOutEndsByTheSignal(signal: CInt, model: String) async throws {
        // Less than the default, unless the machine is busy all the time.
        let taken = try await shortest(under: .seconds(5)) {
            try await serving("--model", model, "--grace", "50ms") { server in
                let client = try server.client()
                #expect(try client.echo("hello") == "hello")
                server.program.send(signal)
                #expect(try await server.program.end() == -signal)
            }
        }
        #expect(taken < .seconds(5))
    }

    @Test func theDefaultGraceIsFiveSeconds() async throws {
        try await serving { server in
            let client = try server.client()
            #expect(try client.echo("hello") == "hello")
            let start = ContinuousClock.now
            server.program.send(SIGTERM)
            #expect(try await server.program.end() == -SIGTERM)
            let taken = ContinuousClock.now - start
            #expect(taken > .milliseconds(4900) && taken < patience, "\(taken)")
        }
    }

    /// timeout(1) signals the child and then the group; SIGALRM is its own clock.
    @Test(.enabled(if: Place.has("timeout"), "timeout is not installed"), arguments: ["TERM", "INT", "HUP"])
    func timeoutsTwoSignalsAreOne(signal: String) async throws {
        for _ in 0..<10 {
            let launcher = ["timeout", "--preserve-status", "--signal", signal, "1h"]
            try await serving("--grace", "1h", launcher: launcher) { server in
                let client = try server.client()
                #expect(try client.echo("before") == "before")
                server.program.kill(SIGALRM)
                try await eventually(patience, "refusing") { (try? Peer(port: server.port)) == nil }
                #expect(try client.echo("after") == "after")
                client.finish()
                #expect(try client.receiveText() == "")
                #expect(try await server.program.end() == 0)
            }
        }
    }

    @Test(arguments: ["INT", "TERM", "HUP"], ["serve", "listen", "relay"])
    func aSignalThatTheParentIgnoredIsIgnored(ignored: String, verb: String) async throws {
        let launcher = ["sh", "-c", "trap '' \(ignored); exec \"$@\"", "sh"]
        let path = temporaryPath("sock")
        let words =
            switch verb {
            case "serve": ["serve", "echo", path]
            case "listen": ["listen", path, "--keep"]
            default: ["relay", path, "exec:cat"]
            }
        try await starting(launcher + [Place.pier] + words + ["--grace", "1h"]) { program in
            try await program.errors.line(with: "listening unix")
            // Twice, as the second would end it.
            for _ in 0..<2 { program.send(try #require(["INT": SIGINT, "TERM": SIGTERM, "HUP": SIGHUP][ignored])) }
            program.send(ignored == "INT" ? SIGTERM : SIGINT)
            #expect(try await program.end() == 0, "\(program.errors.text)")
        }
    }

    @Test func aShellsLoopStopsAtCommandsThatASignalEnded() async throws {
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        let script = "for i in 1 2 3; do \"$0\" connect 127.0.0.1:\(host.port) --trace; echo \"status $?\"; done"
        try await starting(["bash", "-c", script, Place.pier], input: .file("/dev/null")) { shell in
            try await shell.errors.line(with: "created")
            let started = children(of: shell.pid)
            // As the terminal does: the shell gets it too, and ends only where its child ended by it.
            shell.send(SIGINT)
            for child in started { kill(child, SIGINT) }
            #expect(try await shell.end() == -SIGINT)
            #expect(shell.output.text == "")
        }
        _ = fillers
    }

    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), arguments: signals)
    func processOneExitsWithTheSignalsStatus(signal: CInt) async throws {
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        let launcher = ["unshare", "--pid", "--fork", "--kill-child"]
        try await running("connect", "127.0.0.1:\(host.port)", "--trace", launcher: launcher) { program in
            try await program.errors.line(with: "created")
            for child in children(of: program.pid) { kill(child, signal) }
            #expect(try await program.end() == 128 + signal)
        }
        _ = fillers
    }

    @Test(arguments: signals, ["full", "half", "send", "receive"])
    func aConnectEndsByTheSignalThoughItsPeerIsSilent(
        signal: CInt, duplex: String
    ) async throws {
        let taken = try await shortest(under: .seconds(5)) {
            let host = try Host()
            try await running("connect", "127.0.0.1:\(host.port)", "--grace", "1h", "--duplex", duplex) { client in
                client.write("question\n")
                let peer = try await host.accept()
                if duplex != "receive" { _ = try peer.receive(8) }
                client.send(signal)
                let code = try await client.end()
                #expect(code == -signal)
            }
        }
        #expect(taken < .seconds(5))
    }

    @Test func aSignalWhileConnectingEndsAtOnce() async throws {
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        try await running("connect", "127.0.0.1:\(host.port)", "--trace", "--grace", "1h") { client in
            try await client.errors.line(with: "created")
            client.send(SIGINT)
            #expect(try await client.end() == -SIGINT)
        }
        _ = fillers
    }

    @Test(arguments: models)
    func harmlessSignalsAreSurvived(model: String) async throws {
        try await serving("--model", model) { server in
            let client = try server.client()
            for round in 0..<20 {
                for signal in [SIGCHLD, SIGURG, SIGWINCH, SIGPIPE, SIGSTOP, SIGCONT] { server.program.send(signal) }
                #expect(try client.echo("round \(round)") == "round \(round)")
            }
            #expect(server.program.ending == nil)
        }
    }

    @Test(
        .enabled("strace is not installed, or may not trace here") {
            try await outcome(of: ["strace", "-D", "-o", "/dev/null", "true"]).status == 0
        }, arguments: models)
    func interruptedCallsAreMadeAgain(model: String) async throws {
        // Not read: the loader has to read the program's libraries, and gives up when it is interrupted.
        let calls = "recvfrom,recvmsg,sendto,write,sendmsg,accept4,epoll_wait,epoll_pwait,epoll_pwait2,poll,ppoll"
        // -D: the tracer stands aside, and what was started is the server itself.
        let launcher = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "inject=\(calls):error=EINTR:when=1+3"]
        let sent = randomBytes(200_000)
        try await serving("--model", model, "--show", "none", launcher: launcher) { server in
            for _ in 0..<2 {
                let client = try server.client()
                for start in stride(from: 0, to: sent.count, by: 50_000) {
                    let piece = Array(sent[start..<start + 50_000])
                    try client.send(piece)
                    #expect(try client.receive(piece.count) == piece)
                }
                client.finish()
                #expect(try client.receiveText() == "")
            }
            let path = temporaryPath("in")
            try makeFile(path, sent)
            defer { unlink(path) }
            let client = try await pier("connect", "127.0.0.1:\(server.port)", launcher: launcher, input: .file(path))
            #expect(client.bytes == sent)
            #expect(client.status == 0, "\(client.errors)")
            server.program.send(SIGTERM)
            #expect(try await server.program.end() == 0)
        }
    }
}
