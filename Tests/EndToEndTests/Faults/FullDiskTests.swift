import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whether this process may have a file system of its own.
private let mayMount =
    geteuid() == 0 && Place.has("unshare")
    && system("unshare -m mount -t tmpfs -o size=64k pier /mnt 2> /dev/null") == 0

@Suite(
    "G9: the disk is full", .inTurnOnThreads, .serialized, .enabled(if: mayMount, "mounting is not allowed here"),
    .timeLimit(.minutes(10))
)
struct FullDiskTests {
    /// A file system of 64 KiB that only the command sees, with its output or its log on it.
    private func launcher(_ directory: String, _ redirection: String) -> [String] {
        let script = "mount -t tmpfs -o size=64k pier \"$0\" && exec \"$@\" \(redirection)"
        return ["unshare", "-m", "sh", "-c", script, directory]
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServerWhoseLogIsFullServes(model: String) async throws {
        let (directory, path) = (temporaryPath("d"), temporaryPath("sock"))
        _ = try valid(mkdir(directory, 0o700))
        defer { rmdir(directory) }
        try await running(
            "serve", "echo", path, "--model", model, "--trace", "--show", "none",
            launcher: launcher(directory, "2>> \"$0/log\"")
        ) { server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            let log = "/proc/\(server.pid)/root\(directory)/log"
            let client = try Peer(path: path)
            // Each is a message, and more than a line of trace.
            try await onThread {
                for _ in 0..<2000 {
                    let answer = try client.echo("hello")
                    #expect(answer == "hello")
                }
            }
            try await eventually(patience, "a full disk") { bytes(of: log).count == 65536 }
            for _ in 0..<100 { #expect(try client.echo("hello") == "hello") }
            // Where there is room again, it goes on to tell, and first of all what is missing.
            _ = try valid(truncate(log, 0))
            try await eventually(patience, "room") {
                (try? client.echo("hello")) == "hello" && contents(of: log).contains("lines were dropped")
            }
            client.finish()
            #expect(try client.receiveText() == "")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    /// Shown messages are what it has to say. It does not go on as if they were kept.
    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aServerThatCannotShowWhatComesEndsAndSaysSo(model: String) async throws {
        let directory = temporaryPath("d")
        _ = try valid(mkdir(directory, 0o700))
        defer { rmdir(directory) }
        try await serving("--model", model, launcher: launcher(directory, "> \"$0/out\"")) { server in
            let client = try server.client()
            for _ in 0..<200 where (try? client.echo(String(repeating: "x", count: 1000))) == nil { break }
            let status = try await server.program.end()
            #expect(status == 1)
            expectOneSentence(
                Outcome(status: status, bytes: [], errors: server.program.errors.text), "no space left")
        }
    }

    @Test func aServerThatShowsNothingNeedsNoRoom() async throws {
        let directory = temporaryPath("d")
        _ = try valid(mkdir(directory, 0o700))
        defer { rmdir(directory) }
        let full = launcher(directory, "> \"$0/out\"")
        try await serving("--show", "none", launcher: full) { server in
            let client = try server.client()
            for _ in 0..<200 {
                #expect(try client.echo(String(repeating: "x", count: 1000)).count == 1000)
            }
            #expect(server.program.ending == nil)
        }
    }
}
