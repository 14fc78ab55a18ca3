import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("D5: a server told to listen where others may meddle", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct MeddlingTests {
    @Test func aLinkToASocketIsRefusedAndBothStay() async throws {
        let (path, link) = (temporaryPath("sock"), temporaryPath("link"))
        _ = try valid(symlink(path, link))
        defer {
            unlink(link)
            unlink(path)
        }
        try await running("serve", "echo", path) { server in
            try await server.errors.line(with: "listening")
            let refused = try await pier("serve", "echo", link)
            #expect(refused.status == 1)
            expectOneSentence(refused, link)
            #expect(try Peer(path: path).echo("hello") == "hello")
            // Killed, it leaves its path; a link to that is no more welcome.
            server.send(SIGKILL)
            #expect(try await server.end() == -9)
        }
        #expect(try await pier("serve", "echo", link).status == 1)
        #expect(access(path, F_OK) == 0)
        var text = [CChar](repeating: 0, count: 128)
        #expect(readlink(link, &text, 127) == path.utf8.count)
    }

    @Test func aDirectoryThatEverybodyMayChangeIsRefusedWithAdvice() async throws {
        let directory = temporaryPath("d")
        _ = try valid(mkdir(directory, 0o700))
        _ = try valid(chmod(directory, 0o777))
        defer { rmdir(directory) }
        let refused = try await pier("serve", "echo", directory + "/a.sock")
        #expect(refused.status == 1)
        expectOneSentence(refused, "chmod +t")
        #expect(access(directory + "/a.sock", F_OK) == -1)
    }
}

@Suite("D7: a client of a Unix server that sends descriptors", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct SentDescriptorTests {
    /// Sends the most that the kernel passes on at once, and ends only when nobody else holds them any more.
    private static let script = """
        import os, socket, sys
        client = socket.socket(socket.AF_UNIX)
        client.connect(sys.argv[1])
        reading, writing = os.pipe()
        for _ in range(5):
            socket.send_fds(client, [b"hello"], [writing] * 253)
            print(client.recv(5, socket.MSG_WAITALL))
        os.close(writing)
        print(os.read(reading, 1))
        """

    @Test(
        .enabled(if: Place.has("python3"), "python3 is not installed"),
        arguments: ["tasks", "callbacks", "threads", "blocking"])
    func theyAreClosedAndTheClientIsServed(model: String) async throws {
        let path = temporaryPath("sock")
        try await serving(path, "--model", model, "--show", "none") { server in
            #expect(try Peer(path: path).echo("hello") == "hello")
            let client = try await outcome(of: ["python3", "-c", Self.script, path])
            #expect(client.status == 0, "\(client.errors)")
            #expect(client.output == String(repeating: "b'hello'\n", count: 5) + "b''\n")
            #expect(try Peer(path: path).echo("hello") == "hello")
        }
    }
}
