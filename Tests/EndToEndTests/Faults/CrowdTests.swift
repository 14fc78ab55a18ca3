import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("B12: a thousand clients that send a byte now and then", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct SlowClientTests {
    /// "Now and then" is more rarely than the idle time; each has had its first byte back when the time begins.
    @Test(arguments: ["tasks", "callbacks", "threads"])
    func theyEndAtTheIdleTimeAndAnotherIsServedMeanwhile(model: String) async throws {
        try await withTime(.seconds(2)) { idle in try await theyEnd(model, idle) }
    }

    private func theyEnd(_ model: String, _ idle: Duration) async throws {
        try await serving(
            "--model", model, "--idle-timeout", idle.argument, "--max-clients", "1100", "--show", "none"
        ) { server in
            let before = server.sockets
            let start = ContinuousClock.now
            // On one thread, which waits for nothing but the server.
            let (slow, answered, left) = try await onThread {
                var speaker = Speaker(idle: idle)
                let other = try server.client()
                var answered = 0
                func ask() throws {
                    guard try speaker.says({ try other.echo("x") == "x" }) else { throw Unexpected(text: "no answer") }
                    answered += 1
                }
                let slow = try (0..<1000).map { number in
                    let client = try server.client()
                    try client.send([1])
                    if number % 10 == 0 { try ask() }
                    return client
                }
                for client in slow { guard try client.receive(1) == [1] else { throw Unexpected(text: "no byte") } }
                // One that speaks more often than the idle time stays, however little it says.
                var left = slow.count
                while left > 0, ContinuousClock.now - start < patience + idle {
                    try ask()
                    usleep(20_000)
                    left = slow.count { !$0.hasNews }
                }
                try ask()
                return (slow, answered, left)
            }
            for client in slow where client.hasNews {
                #expect(throws: Errno.connectionReset) { try client.receive(1) }
            }
            #expect(left == 0, "\(left) were never ended")
            #expect(ContinuousClock.now - start >= idle)
            #expect(answered > 20)
            try await server.hasOnly(before)
        }
    }
}

@Suite("B30: many clients that come and go", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct ChurnTests {
    /// What the allocators may keep, besides what is theirs from the start.
    private static let slack = 4 << 20

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func descriptorsThreadsAndMemoryAreAsBefore(model: String) async throws {
        try await serving("--model", model, "--show", "none") { server in
            let sockets = server.sockets
            try await churn(server, 1000)
            try await server.hasOnly(sockets)
            let pid = server.program.pid
            let (all, memory) = (descriptors(of: pid).count, residentMemory(of: pid))
            let threads = threadCount(of: pid)
            try await churn(server, 3000)
            try await server.hasOnly(sockets)
            // The thread for the next client, with the descriptor that it waits by, may have been about to start.
            try await eventually(patience, "the end of the threads") { threadCount(of: pid) <= threads + 1 }
            try await eventually(patience, "closing what they had") { descriptors(of: pid).count <= all + 1 }
            let growth = residentMemory(of: pid) - memory
            #expect(growth < allowed(Self.slack), "\(growth) bytes more after 3000 clients")
            #expect(try server.client().echo("hello") == "hello")
        }
    }

    /// Clients that finish, that are reset with and without words under way, and that only look.
    private func churn(_ server: EchoServer, _ count: Int) async throws {
        try await onThread {
            for number in 0..<count {
                let client = try server.client()
                switch number % 4 {
                case 0:
                    #expect(try client.echo("hello") == "hello")
                    client.finish()
                    #expect(try client.receive(1) == [])
                case 1:
                    client.resetAtClose()
                case 2:
                    try client.send("unheard")
                    client.resetAtClose()
                default:
                    break
                }
            }
        }
    }
}

@Suite("G2: clients that never read", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct UnreadMemoryTests {
    /// What is held for each of them in user space: one message, and its task or thread with the connection.
    @Test(
        .disabled(if: isSanitized, "the sanitizer's own memory is several times as much"),
        arguments: [("tasks", 1000, 8192), ("callbacks", 1000, 8192), ("threads", 200, 65536)])
    func eachCostsOneMessageAndALittle(model: String, count: Int, overhead: Int) async throws {
        let size = 16384
        try await serving("--model", model, "--show", "none", "--receive-size", "\(size)") { server in
            #expect(try server.client().echo("first") == "first")
            let pid = server.program.pid
            let before = residentMemory(of: pid)
            let clients = try (0..<count).map { _ in try Peer(port: server.port, receiveBuffer: 4096) }
            let piece = [UInt8](repeating: 7, count: 1 << 16)
            // Until nothing more is taken from anybody.
            var quiet = ContinuousClock.now
            let start = quiet
            while ContinuousClock.now - quiet < .milliseconds(300)
                || residentMemory(of: pid) - before < count * size / 4 && ContinuousClock.now - start < patience
            {
                for client in clients {
                    if Glibc.send(client.descriptor, piece, piece.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL)) > 0 {
                        quiet = .now
                    }
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            let growth = residentMemory(of: pid) - before
            #expect(growth < count * (size + overhead), "\(growth / count) bytes a client")
            // They are what this is about: each does hold a message, or what of it the system had no room for.
            #expect(growth > count * size / 4, "\(growth / count) bytes a client")
            #expect(try server.client().echo("hello") == "hello")
        }
    }
}

@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct SilentMemoryTests {
    /// Less than half of the smallest task: what is kept is the connection alone, also when it has spoken before.
    @Test(.disabled(if: isSanitized, "the sanitizer's own memory is several times as much"))
    func aSilentClientThatIsCalledForCostsItsConnection() async throws {
        try await serving("--model", "callbacks", "--loops", "1", "--show", "none", "--max-clients", "4000") { server in
            let (count, pid) = (3000, server.program.pid)
            let first = try (0..<100).map { _ in try server.client() }
            for client in first { #expect(try client.echo("first") == "first") }
            let before = residentMemory(of: pid)
            let clients = try (0..<count).map { _ in try server.client() }
            for client in clients { #expect(try client.echo("hello") == "hello") }
            let growth = residentMemory(of: pid) - before
            #expect(growth < count * 700, "\(growth / count) bytes a client")
            for client in clients.reversed() { #expect(try client.echo("again") == "again") }
        }
    }
}

@Suite("G8: thousands of bad clients", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct BadClientTests {
    private static let count = 3000

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func nothingIsSaidOfThem(model: String) async throws {
        try await serving("--model", model, "--show", "none") { server in
            let sockets = server.sockets
            try await beBad { try server.client() }
            try await server.hasOnly(sockets)
            #expect(try server.client().echo("hello") == "hello")
            #expect(server.program.errors.lines.count == 1, "\(server.program.errors.text.prefix(1000))")
        }
    }

    /// A trace says more, but not more than a megabyte that nobody reads, and nobody waits for it.
    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aTraceOfThemThatNobodyReadsIsBounded(model: String) async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path, "--model", model, "--trace", "--show", "none", errors: .unread) {
            server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            let before = residentMemory(of: server.pid)
            try await beBad { try Peer(path: path) }
            #expect(try Peer(path: path).echo("hello") == "hello")
            let growth = residentMemory(of: server.pid) - before
            #expect(growth < allowed(16 << 20), "\(growth) bytes")
        }
    }

    @Test func aTraceOfThemIsEscaped() async throws {
        try await serving("--trace") { server in
            for _ in 0..<20 {
                let client = try server.client()
                try client.send("\u{1b}]0;title\u{7}\u{1b}[6n\u{9b}31m\r\u{202e}\u{0}")
                client.finish()
                _ = try client.receiveText()
            }
            let told = server.program.errors.text + server.program.output.text
            let isSafe = told.unicodeScalars.allSatisfy {
                $0 == "\n" || $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value)
            }
            #expect(isSafe && !told.unicodeScalars.contains("\u{202e}"), "\(told.debugDescription)")
        }
    }

    private func beBad(_ make: @escaping @Sendable () throws -> Peer) async throws {
        try await onThread {
            for number in 0..<Self.count {
                let client = try make()
                if number % 3 > 0 { try? client.send("\u{1b}[2J\u{7}") }
                if number % 3 < 2 { client.resetAtClose() }
            }
        }
    }
}

/// How many threads a process has.
func threadCount(of pid: pid_t) -> Int {
    let line = contents(of: "/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("Threads:") }
    return line.flatMap { Int($0.split(separator: "\t").last ?? "") } ?? 0
}
