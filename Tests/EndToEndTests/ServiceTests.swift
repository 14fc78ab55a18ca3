import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The services besides echo, over TCP and Unix at once, in every way to wait.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ServiceTests {
    private static let models = ["tasks", "callbacks", "threads", "blocking"]

    /// Runs a service on a TCP port and a path.
    private func serving(
        _ service: String, _ model: String, _ arguments: String...,
        body: (EchoServer, [() throws -> Peer]) async throws -> Void
    ) async throws {
        let path = temporaryPath("sock")
        let words = [Place.pier, "serve", service, "127.0.0.1:0", path, "--model", model] + arguments
        try await starting(words, input: .file("/dev/null")) { program in
            let server = EchoServer(program: program, port: try await listeningPort(of: program))
            try await program.errors.line(with: "listening unix://\(path)")
            try await body(server, [{ try server.client() }, { try Peer(path: path) }])
        }
    }

    @Test(arguments: models)
    func discardReadsEverythingAndAnswersNothing(model: String) async throws {
        try await serving("discard", model) { server, clients in
            let before = server.sockets
            for client in clients {
                let client = try client()
                // Unread bytes would turn the close into a reset.
                let much = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
                try client.send("hello\n")
                try await server.program.output.line(with: " received-->hello")
                try client.send(much)
                #expect(!client.hasNews)
                client.finish()
                #expect(try client.receiveText() == "")
            }
            try await server.hasOnly(before)
        }
    }

    @Test(arguments: models)
    func chargenSendsRotatingLinesForAsLongAsTheyAreTaken(model: String) async throws {
        try await serving("chargen", model, "--show", "none") { server, clients in
            let before = server.sockets
            for client in clients {
                let client = try client()
                // It reads what is said meanwhile, and takes the end of it for no end.
                try client.send([UInt8](repeating: UInt8(ascii: "x"), count: 16 << 20))
                client.finish()
                let bytes = try client.receive(74 * 20_000)
                let isRight = bytes.indices.allSatisfy { index in
                    switch index % 74 {
                    case 72: bytes[index] == UInt8(ascii: "\r")
                    case 73: bytes[index] == UInt8(ascii: "\n")
                    default: bytes[index] == UInt8(32 + (index / 74 + index % 74) % 95)
                    }
                }
                #expect(bytes.count == 74 * 20_000 && isRight)
            }
            // They are gone, and so are their sockets.
            try await server.hasOnly(before)
        }
    }

    @Test(arguments: models)
    func chargenEndsAClientThatDoesNotReadAndKeepsOneThatOnlyReads(model: String) async throws {
        try await withTime(.milliseconds(500)) { idle in
            try await chargenEndsAClientThatDoesNotRead(model, idle)
        }
    }

    private func chargenEndsAClientThatDoesNotRead(_ model: String, _ idle: Duration) async throws {
        try await serving("chargen", model, "--idle-timeout", idle.argument) { server, clients in
            let before = server.sockets
            for client in clients {
                let start = ContinuousClock.now
                var speaker = Speaker(idle: idle)
                let reader = try client()
                // Much at a time: a busy machine must not make a slow reader of it.
                while ContinuousClock.now - start < idle * 2.4 {
                    try #require(try speaker.says { try reader.receive(74_000).count == 74_000 })
                }
                reader.resetAtClose()
            }
            try await server.hasOnly(before)
            let stuck = try clients.map { try $0() }
            // It has begun, and then stands still.
            for client in stuck.prefix(model == "blocking" ? 1 : 2) { #expect(client.hasNews(within: 120_000)) }
            try await server.hasOnly(before)
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func chargenHoldsNothingForClientsThatDoNotRead(model: String) async throws {
        try await serving("chargen", model, "--show", "none") { server, clients in
            let first = try clients[0]()
            #expect(first.hasNews(within: 120_000))
            let before = residentMemory(of: server.program.pid)
            let stuck = try (0..<50).map { _ in try clients[0]() }
            for client in stuck { #expect(client.hasNews(within: 120_000)) }
            // Each has two threads at the most, with stacks and arenas, and under a sanitizer their shadows. Bytes that were
            // queued would be that and more within moments, and go on growing.
            let grown = residentMemory(of: server.program.pid) - before
            #expect(grown < allowed(50 << 20), "\(grown)")
        }
    }

    @Test(arguments: models)
    func aSignalEndsChargenWithoutWaitingForItsClients(model: String) async throws {
        try await serving("chargen", model, "--grace", "1m") { server, clients in
            let client = try clients[0]()
            #expect(try client.receive(74).count == 74)
            server.program.send(SIGTERM)
            #expect(try client.receive(.max).count > 0)
            #expect(try await server.program.end() == 0)
        }
    }

    @Test(arguments: models)
    func daytimeSaysOneLineAndCloses(model: String) async throws {
        try await serving("daytime", model) { server, clients in
            let before = server.sockets
            for client in clients {
                let client = try client()
                try client.send("what time is it?")
                let line = try client.receiveText()
                let form =
                    /(Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day, [A-Z][a-z]+ [1-9][0-9]?, 2[0-9]{3} \d\d:\d\d:\d\d-UTC/
                // To Swift, CR and LF together are one character.
                #expect(line.hasSuffix("\r\n") && line.dropLast().wholeMatch(of: form) != nil, "\(line)")
                let told = try await outcome(of: ["date", "-u", "-d", String(line.dropLast(5)) + " UTC", "+%s"])
                let seconds = Int(told.output.dropLast()) ?? 0
                #expect(abs(time(nil) - seconds) < 60, "\(line) \(told.errors)")
            }
            try await server.hasOnly(before)
        }
    }
}
