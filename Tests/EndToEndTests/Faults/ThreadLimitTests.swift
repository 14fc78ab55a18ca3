import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("A18: no threads left to start with", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct ThreadLimitTests {
    /// A limit that binds everybody but root; so nobody is who runs it.
    private func launcher(_ threads: Int) -> [String] {
        ["setpriv", "--reuid", "65534", "--clear-groups", "prlimit", "--nproc=\(threads)"]
    }

    @Test(
        .enabled(
            if: geteuid() == 0 && Place.has("setpriv") && Place.has("prlimit"), "it takes root, setpriv and prlimit"),
        arguments: ["tasks", "callbacks", "threads", "blocking"])
    func itServesOrSaysWhyNot(model: String) async throws {
        guard try await pier("--version", launcher: launcher(100)).status == 0 else { return }
        var failures = 0
        for threads in 1...6 {
            try await running(
                "serve", "echo", "127.0.0.1:0", "--model", model, launcher: launcher(threads)
            ) { server in
                try await eventually(patience, "an answer or an end") {
                    // With a thread for each client, and none for the first, it waits as for descriptors, and says so.
                    if server.ending != nil || server.errors.text.contains("clients queue") { return true }
                    let port = server.errors.lines.first?.split(separator: ":").last.flatMap { UInt16($0) }
                    guard let port, let client = try? Peer(port: port), client.hasNewsAfter("x") else { return false }
                    return true
                }
                guard let status = server.ending else { return }
                failures += 1
                #expect(status == 1)
                _ = try await server.end()
                // A warning that clients queue may have come before.
                let said = server.errors.text
                #expect(said.contains("pier: ") && said.contains("temporarily unavailable"), "\(said)")
            }
        }
        #expect(failures > 0)
    }
}

extension Peer {
    fileprivate func hasNewsAfter(_ text: String) -> Bool {
        (try? send(text)) != nil && hasNews(within: 200) && (try? receive(text.utf8.count)) == Array(text.utf8)
    }
}
