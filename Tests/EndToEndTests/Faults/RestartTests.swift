import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("B19: a port below 1024 without the right to it", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct LowPortTests {
    @Test(.enabled(if: LowPortTests.canBeTried, "it takes root, setpriv, and a system that guards such ports"))
    func itIsASentenceThatSaysWhatToDo() async throws {
        // Nobody may not be let into the directory of the build. Root without any right is refused as well.
        let nobody = ["setpriv", "--reuid", "65534", "--clear-groups"]
        let isLetIn = try await pier("--version", launcher: nobody).status == 0
        let server = try await pier(
            "serve", "echo", "127.0.0.1:80", launcher: isLetIn ? nobody : ["setpriv", "--bounding-set", "-all"])
        #expect(server.status == 1)
        expectOneSentence(server, "permission denied")
        expectOneSentence(server, "choose a higher one")
    }

    private static let canBeTried =
        geteuid() == 0 && Place.has("setpriv")
        && (Int(contents(of: "/proc/sys/net/ipv4/ip_unprivileged_port_start").dropLast()) ?? 1024) > 80
}

@Suite(
    "B28: a server that is killed, and started again at once", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct RestartTests {
    @Test(arguments: ["tasks", "callbacks", "threads"])
    func itHasItsPortAgainThoughItHadClients(model: String) async throws {
        let port = try freePort()
        // The clients of the last round are still there, and closed only when the next server runs.
        var last: [Peer] = []
        for _ in 0..<20 {
            try await running("serve", "echo", "127.0.0.1:\(port)", "--model", model, "--show", "none") { server in
                try await server.errors.line(with: "listening")
                let clients = try (0..<5).map { _ in try Peer(port: port) }
                for client in clients { #expect(try client.echo("hello") == "hello") }
                last = clients
                server.send(SIGKILL)
                #expect(try await server.end() == -9)
                for client in clients {
                    // The end or a reset, but no silence.
                    do { #expect(try client.receive(1) == []) } catch let error as Errno {
                        #expect(error == .connectionReset)
                    }
                }
            }
        }
        _ = last
    }
}
