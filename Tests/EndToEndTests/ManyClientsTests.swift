import SystemPackage
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The tutorial's last sentence, answered: every client at once, and none at the cost of another.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ManyClientsTests {
    @Test(arguments: ["tasks", "callbacks", "threads"])
    func aHundredSilentClientsDoNotDelayTheNext(model: String) async throws {
        try await serving("--model", model) { server in
            let silent = try (0..<100).map { _ in try server.client() }
            let next = try server.client()
            let start = ContinuousClock.now
            #expect(try next.echo("hello") == "hello")
            // A silent client would hold it up for ever; this is only generous.
            #expect(ContinuousClock.now - start < patience)
            // And the silent ones are served too, when they speak.
            for client in silent { #expect(try client.echo("now") == "now") }
        }
    }

    @Test func withOneClientAtATimeTheSecondWaitsAndTheTraceSaysHowLong() async throws {
        try await serving("--model", "blocking", "--trace") { server in
            let first = try server.client()
            #expect(try first.echo("first") == "first")
            let start = ContinuousClock.now
            let second = try server.client()
            try second.send("second")
            for _ in 0..<200 { #expect(try first.echo("still") == "still") }
            #expect(!second.hasNews)
            // The wait is long enough to be told in milliseconds.
            try await eventually { ContinuousClock.now - start > .milliseconds(300) }
            #expect(!second.hasNews)
            first.finish()
            #expect(try first.receiveText() == "")
            #expect(try second.receive(6) == Array("second".utf8))
            let waited = ContinuousClock.now - start
            let port = localPort(of: second.descriptor)
            let line = try await server.program.errors.line(with: "remote=127.0.0.1:\(port)>")
            let told = try #require(line.firstMatch(of: /after (\d+\.\d+) s in the listener's queue/))
            let queued = Duration.milliseconds((Double(told.1) ?? 0) * 1000)
            #expect(queued > .milliseconds(250) && queued <= waited + .milliseconds(50), "\(line); \(waited)")
        }
    }

    @Test func sixtyFourMebibytesComeBackUnchangedOverTCPAndUnix() async throws {
        let (question, answer, path) = (temporaryPath("in"), temporaryPath("out"), temporaryPath("sock"))
        try makeFile(question, randomBytes(64 << 20))
        defer {
            unlink(question)
            unlink(answer)
        }
        try await serving(path, "--show", "none") { server in
            for place in ["127.0.0.1:\(server.port)", path] {
                let client = try await pier(
                    "connect", place, input: .file(question), output: .file(answer))
                #expect(client.status == 0, "\(client.errors)")
                #expect(try await areEqual(question, answer), "\(place)")
            }
        }
    }

    @Test func aThousandClientsAtOnceOnOneLoop() async throws {
        try await serving("--loops", "1", "--show", "none") { server in
            let (before, others) = (server.sockets, descriptors(of: server.program.pid).count - server.sockets)
            do {
                let clients = try (0..<1000).map { _ in try server.client() }
                for (number, client) in clients.enumerated() { try client.send("client \(number)") }
                for (number, client) in clients.enumerated() {
                    let word = Array("client \(number)".utf8)
                    #expect(try client.receive(word.count) == word)
                }
                #expect(server.sockets == before + 1000)
                // Half of them finish, the others just go.
                for client in clients.prefix(500) {
                    client.finish()
                    #expect(try client.receive(1) == [])
                }
            }
            try await server.hasOnly(before)
            // What is made once may have come meanwhile, but nothing for each client.
            #expect(descriptors(of: server.program.pid).count - before < others + 10)
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func clientsThatDoNotReadDelayNobodyAndCostBoundedMemory(model: String) async throws {
        try await serving("--model", model, "--loops", "1", "--show", "none") { server in
            #expect(try server.client().echo("first") == "first")
            let before = residentMemory(of: server.program.pid)
            let piece = [UInt8](repeating: 7, count: 1 << 20)
            var stuck: [Peer] = []
            for _ in 0..<8 {
                let client = try Peer(port: server.port, receiveBuffer: 4096)
                var sent = 0
                // Until nothing more is taken: its bytes are nowhere but in the kernel and in what the server holds.
                while sent < 64 << 20, client.canSend(within: 200) {
                    let count = send(client.descriptor, piece, piece.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL))
                    guard count > 0 || errno == EAGAIN else { throw Errno(rawValue: errno) }
                    sent += max(0, count)
                }
                #expect(sent < 64 << 20, "what nobody reads was taken for ever")
                stuck.append(client)
            }
            let next = try server.client()
            let start = ContinuousClock.now
            for _ in 0..<100 { #expect(try next.echo("quick") == "quick") }
            #expect(ContinuousClock.now - start < patience)
            #expect(residentMemory(of: server.program.pid) - before < allowed(32 << 20))
        }
    }
}
