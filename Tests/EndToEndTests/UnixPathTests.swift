import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 9 of the contract: what becomes of a Unix listener's path.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct UnixPathTests {
    private static let models = ["tasks", "callbacks", "threads", "blocking"]

    private func exists(_ path: String) -> Bool { lstatMode(path) != nil }

    @Test(arguments: ["0", "022", "077"])
    func thePathIsItsOwnersAlone(umask: String) async throws {
        let path = temporaryPath("sock")
        try await running(
            "serve", "echo", path, launcher: ["sh", "-c", "umask \(umask); exec \"$@\"", "sh"]
        ) { server in
            // From the first moment, so also before it is told.
            try await eventually(patience, "the path") { lstatMode(path) != nil }
            #expect(lstatMode(path) == S_IFSOCK | 0o600)
            try await server.errors.line(with: "listening")
            #expect(lstatMode(path) == S_IFSOCK | 0o600)
        }
    }

    @Test(arguments: models)
    func thePathIsRemovedAtEachKindOfEnd(model: String) async throws {
        for signals in 1...2 {
            let path = temporaryPath("sock")
            try await running("serve", "echo", path, "--model", model, "--grace", "1h") { server in
                try await server.errors.line(with: "listening")
                let client = signals == 2 ? try Peer(path: path) : nil
                if let client { #expect(try client.echo("hello") == "hello") }
                server.send(SIGTERM)
                if signals == 2 {
                    try await eventually(patience, "refusing") { (try? Peer(path: path)) == nil }
                    server.send(SIGTERM)
                }
                #expect(try await server.end() == (signals == 2 ? -SIGTERM : 0))
                #expect(!exists(path))
            }
        }
    }

    @Test func thePathIsRemovedWhenTheGraceRunsOut() async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path, "--grace", "50ms") { server in
            try await server.errors.line(with: "listening")
            let client = try Peer(path: path)
            #expect(try client.echo("hello") == "hello")
            server.send(SIGINT)
            #expect(try await server.end() == -SIGINT)
            #expect(!exists(path))
        }
    }

    @Test func thePathIsRemovedWhenAnotherEndpointFails() async throws {
        let path = temporaryPath("sock")
        let server = try await pier("serve", "echo", path, "/nonexistent/x.sock")
        #expect(server.status == 1)
        #expect(!exists(path))
    }

    @Test func aStalePathIsTakenOver() async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            server.send(SIGKILL)
            #expect(try await server.end() == -9)
        }
        #expect(exists(path))
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            #expect(lstatMode(path) == S_IFSOCK | 0o600)
            #expect(try Peer(path: path).echo("hello") == "hello")
        }
        unlink(path)
    }

    @Test func aLivePathIsRefusedAndGoesOnServing() async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path) { first in
            try await first.errors.line(with: "listening")
            let second = try await pier("serve", "echo", path)
            #expect(second.status == 1)
            expectOneSentence(second, path)
            #expect(try Peer(path: path).echo("hello") == "hello")
            #expect(first.ending == nil)
        }
        unlink(path)
    }

    @Test func aPlainFileIsRefusedAndKept() async throws {
        let path = temporaryPath("txt")
        try makeFile(path, Array("precious".utf8))
        defer { unlink(path) }
        let server = try await pier("serve", "echo", path)
        #expect(server.status == 1)
        expectOneSentence(server, path)
        #expect(contents(of: path) == "precious")
    }

    @Test func aDirectoryAndALinkAreRefusedAndKept() async throws {
        let (directory, link) = (temporaryPath("d"), temporaryPath("link"))
        _ = try valid(mkdir(directory, 0o700))
        _ = try valid(symlink("/nonexistent", link))
        defer {
            rmdir(directory)
            unlink(link)
        }
        for path in [directory, link] {
            let before = lstatMode(path)
            let server = try await pier("serve", "echo", path)
            #expect(server.status == 1)
            expectOneSentence(server, path)
            #expect(lstatMode(path) == before)
        }
    }

    @Test func whatAnotherHasPutAtThePathIsNotRemoved() async throws {
        let path = temporaryPath("sock")
        defer { unlink(path) }
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            unlink(path)
            try makeFile(path, Array("another's".utf8))
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
            #expect(contents(of: path) == "another's")
        }
    }

    @Test func theLongestPathWorksAndALongerOneIsABadEndpoint() async throws {
        let start = temporaryPath("")
        let longest = start + String(repeating: "x", count: 107 - start.utf8.count)
        try await running("serve", "echo", longest) { server in
            try await server.errors.line(with: "listening unix://\(longest)")
            #expect(try Peer(path: longest).echo("hello") == "hello")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
        for verb in [["serve", "echo"], ["connect"]] {
            let command = try await outcome(of: [Place.pier] + verb + [longest + "x"])
            #expect(command.status == 2)
            expectOneSentence(command, "107")
        }
    }

    @Test func nulInAPathIsABadEndpoint() async throws {
        let command = try await pier("connect", "unix:/tmp/a%00b")
        #expect(command.status == 2)
        expectOneSentence(command, "zero byte")
    }

    @Test func aPathThatIsGoneAndAPathThatNobodyServesAreToldApart() async throws {
        let path = temporaryPath("sock")
        let gone = try await pier("connect", path)
        #expect(gone.status == 1)
        expectOneSentence(gone, "no such file")
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            server.send(SIGKILL)
            #expect(try await server.end() == -9)
        }
        let refused = try await pier("connect", path)
        #expect(refused.status == 1)
        expectOneSentence(refused, "refused")
        unlink(path)
    }
}

/// What is at a path; a link itself.
private func lstatMode(_ path: String) -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode : nil
}
