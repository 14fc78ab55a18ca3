import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Events when nobody reads them, or not fast enough.
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Place.has("python3"), "python3 is not installed"))
struct EventLossTests {
    @Test(arguments: ["tasks", "callbacks", "threads"])
    func aStandardErrorThatNobodyReadsHoldsUpNoClient(model: String) async throws {
        try await starting(
            [Place.pier, "serve", "echo", "127.0.0.1:0", "--model", model, "--events", "json", "--show", "none"],
            errors: .unread
        ) { server in
            // Nobody can be told the port; the kernel knows it.
            let port = try await boundPort(of: server.pid)
            let client = try Peer(port: port)
            for _ in 0..<20_000 { #expect(try client.echo("hello") == "hello") }
        }
    }

    @Test func whatIsDroppedIsCountedAndTheEndIsStillTold() async throws {
        let path = temporaryPath("fifo")
        _ = try valid(mkfifo(path, 0o600))
        defer { unlink(path) }
        // Opened for both, so that it waits for nobody; and read only when the server has had enough to tell.
        let reader = try valid(open(path, O_RDWR | O_CLOEXEC))
        let gathering: Gathering
        do {
            let server = [Place.pier, "serve", "echo", "127.0.0.1:0", "--events", "json", "--show", "none"]
            gathering = try await starting(server, errors: .descriptor(reader)) { server in
                let client = try Peer(port: try await boundPort(of: server.pid))
                for _ in 0..<20_000 { #expect(try client.echo("hello") == "hello") }
                let gathering = Gathering(fcntl(reader, F_DUPFD_CLOEXEC, 3))
                try await gathering.line(with: "\"dropped\"")
                client.finish()
                #expect(try client.receiveText() == "")
                server.send(SIGTERM)
                #expect(try await server.end() == 0)
                try await gathering.line(with: "\"totals\"")
                return gathering
            }
        }
        close(reader)
        let events = try await Events.checked(gathering.bytes)
        #expect(events.last == "totals clients=1 received=100000 sent=100000 messages=20000 errors=0")
        let dropped = try #require(events.first { $0.hasPrefix("warning ") }?.split(separator: "=").last)
        let counted = events.count { $0.hasPrefix("received") || $0.hasPrefix("sent") }
        #expect(counted + (Int(dropped) ?? 0) == 40_000)
    }
}

/// The TCP port that a process listens on, from the kernel.
func boundPort(of pid: pid_t) async throws -> UInt16 {
    @Sendable func port() -> UInt16? {
        let own = Set(descriptors(of: pid).compactMap { $0.firstMatch(of: /socket:\[(\d+)\]/).map { String($0.1) } })
        for line in contents(of: "/proc/\(pid)/net/tcp").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A", own.contains(String(fields[9])) else { continue }
            return fields[1].split(separator: ":").last.flatMap { UInt16($0, radix: 16) }
        }
        return nil
    }
    try await eventually(patience, "listening") { port() != nil }
    return port() ?? 0
}
