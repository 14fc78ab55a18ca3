import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What `pier serve` ends before its time is a reset to its client over TCP.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ServeCutShortTests {
    private static let models = ["tasks", "callbacks", "threads", "blocking"]

    private func reset(
        _ service: String, _ arguments: [String], output: Stream = .pipe, saying text: String = "hello",
        _ cut: (Program) throws -> Void
    ) async throws -> CInt {
        try await starting(
            [Place.pier, "serve", service, "127.0.0.1:0"] + arguments, input: .file("/dev/null"), output: output
        ) { server in
            let client = try Peer(port: try await listeningPort(of: server))
            try client.send(text)
            // With another output the reset may come before the echo.
            if service == "echo", case .pipe = output { _ = try client.receive(text.utf8.count) }
            // It is a client only when it has been accepted.
            if arguments.contains("-v") { try await server.errors.line(with: "accepted") }
            try cut(server)
            #expect(throws: Errno.connectionReset) { try client.receiveText() }
            if arguments.contains("--idle-timeout") { server.send(SIGTERM) }
            return try await server.end()
        }
    }

    @Test(arguments: models, ["echo", "discard"])
    func aGraceThatRunsOutIsAReset(model: String, service: String) async throws {
        let arguments =
            ["--model", model, "--show", "none", "--grace", "100ms"] + (service == "discard" ? ["-v"] : [])
        #expect(try await reset(service, arguments) { $0.send(SIGTERM) } == -SIGTERM)
    }

    @Test(arguments: models) func aSecondSignalIsAReset(model: String) async throws {
        let status = try await reset("echo", ["--model", model, "--grace", "1h"]) { server in
            server.send(SIGTERM)
            server.send(SIGINT)
        }
        // Which of the two comes first is the kernel's choice.
        #expect(status == -SIGTERM || status == -SIGINT)
    }

    @Test(arguments: models, ["echo", "discard"])
    func theIdleTimeIsAReset(model: String, service: String) async throws {
        let arguments = ["--model", model, "--show", "none", "--idle-timeout", "100ms"]
        #expect(try await reset(service, arguments) { _ in } == 0)
    }

    @Test(arguments: models) func anOutputThatIsFullIsAReset(model: String) async throws {
        let full = try valid(open("/dev/full", O_WRONLY | O_CLOEXEC))
        defer { close(full) }
        #expect(try await reset("echo", ["--model", model], output: .descriptor(full)) { _ in } == 1)
    }

    /// A client that has got all, and knows it, is not reset while the server waits for its end.
    @Test func aClientThatHasGotAllSeesAnEnd() async throws {
        try await running(
            "serve", "daytime", "127.0.0.1:0", "--grace", "100ms", input: .file("/dev/null")
        ) { server in
            let client = try Peer(port: try await listeningPort(of: server))
            #expect(try client.receiveText().hasSuffix("\r\n"))
            server.send(SIGTERM)
            #expect(try await server.end() == -SIGTERM)
        }
    }

    /// A program must not take what is cut short for the end of its input.
    @Test func aProgramIsEndedBeforeItsInputIs() async throws {
        let path = temporaryPath("committed")
        defer { unlink(path) }
        let program = "exec:sh -c 'echo x; cat > /dev/null; touch \(path); sleep 1000'"
        let served = try await pier("serve", "echo", program, "--idle-timeout", "100ms", input: .file("/dev/null"))
        #expect(served.status == 3, "\(served.errors)")
        #expect(access(path, F_OK) != 0)
    }

    /// A socket that the command inherited and has not taken over belongs to another process.
    @Test func anInheritedSocketThatIsNotUsedIsLeftAlone() async throws {
        let host = try Host()
        let ours = try Peer(port: host.port)
        let far = try await host.accept()
        let script = "exec \"$0\" serve echo 127.0.0.1:0 --grace 50ms <&0"
        try await starting(["sh", "-c", script, Place.pier], input: .descriptor(ours.descriptor)) { server in
            let client = try Peer(port: try await listeningPort(of: server))
            #expect(try client.echo("x") == "x")
            server.send(SIGTERM)
            #expect(try await server.end() == -SIGTERM)
            #expect(throws: Errno.connectionReset) { try client.receiveText() }
            try ours.send("still here")
            #expect(try far.receive(10) == Array("still here".utf8))
        }
    }
}
