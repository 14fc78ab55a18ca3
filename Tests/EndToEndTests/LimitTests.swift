import Testing
import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 11 of the contract: limits.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct LimitTests {
    @Test(arguments: ["tasks", "callbacks", "threads"])
    func theClientAboveTheLimitQueuesUntilOneLeaves(model: String) async throws {
        try await serving("--model", model, "--max-clients", "2") { server in
            let (first, second, third) = (try server.client(), try server.client(), try server.client())
            #expect(try first.echo("first") == "first")
            #expect(try second.echo("second") == "second")
            try third.send("third")
            for _ in 0..<100 {
                #expect(try first.echo("still") == "still")
                #expect(try second.echo("still") == "still")
            }
            #expect(!third.hasNews)
            second.finish()
            #expect(try second.receiveText() == "")
            #expect(try third.receive(5) == Array("third".utf8))
            // The places are counted up again as they were counted down.
            let fourth = try server.client()
            try fourth.send("fourth")
            for _ in 0..<20 { #expect(try third.echo("still") == "still") }
            #expect(!fourth.hasNews)
            first.resetAtClose()
            first.finish()
            #expect(try first.receiveText() == "")
            #expect(try fourth.receive(6) == Array("fourth".utf8))
        }
    }

    @Test func eachEndpointHasALimitOfItsOwn() async throws {
        let path = temporaryPath("sock")
        try await serving("--max-clients", "1", path + "?max-clients=2") { server in
            let clients = try [server.client(), Peer(path: path), Peer(path: path)]
            for client in clients { #expect(try client.echo("hello") == "hello") }
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func aServerFullOfClientsStillEndsAtASignal(model: String) async throws {
        try await serving("--model", model, "--max-clients", "1", "--grace", "1m") { server in
            let client = try server.client()
            #expect(try client.echo("hello") == "hello")
            server.program.send(SIGTERM)
            try await eventually(patience, "refusing") { (try? Peer(port: server.port)) == nil }
            client.finish()
            #expect(try client.receiveText() == "")
            #expect(try await server.program.end() == 0)
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func aSilentClientIsClosedAndABusyOneIsNot(model: String) async throws {
        try await withTime(.milliseconds(300)) { idle in
            try await serving("--model", model, "--idle-timeout", idle.argument, "--show", "none") { server in
                let before = server.sockets
                let start = ContinuousClock.now
                var speaker = Speaker(idle: idle)
                let (silent, busy) = (try server.client(), try server.client())
                while !silent.hasNews, ContinuousClock.now - start < patience + idle {
                    #expect(try speaker.says { try busy.echo("busy") == "busy" })
                }
                #expect(silent.hasNews)
                #expect(ContinuousClock.now - start >= idle)
                #expect(try speaker.says { try busy.echo("still") == "still" })
                busy.finish()
                #expect(try busy.receiveText() == "")
                try await server.hasOnly(before)
            }
        }
    }

    @Test func theTutorialsServerClosesASilentClientForTheNext() async throws {
        try await withTime(.milliseconds(100)) { idle in
            try await serving("--model", "blocking", "--idle-timeout", idle.argument) { server in
                var speaker = Speaker(idle: idle)
                let silent = try server.client()
                let next = try server.client()
                #expect(try speaker.says { try next.echo("hello") == "hello" })
                #expect(silent.hasNews)
            }
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aClientThatDoesNotReadIsClosedToo(model: String) async throws {
        try await serving("--model", model, "--idle-timeout", "300ms", "--show", "none") { server in
            let before = server.sockets
            let client = try Peer(port: server.port, receiveBuffer: 4096)
            let piece = [UInt8](repeating: 7, count: 1 << 20)
            // It speaks as long as it is listened to, and never reads; then its connection ends.
            let pid = server.program.pid
            try await eventually(patience, "its close") {
                send(client.descriptor, piece, piece.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL))
                return socketCount(of: pid) == before && client.hasNews
            }
        }
    }

    @Test func anIdleTimeoutCanBeOffForOneEndpoint() async throws {
        let path = temporaryPath("sock")
        try await serving("--idle-timeout", "100ms", path + "?idle-timeout=off") { server in
            let (patient, silent) = (try Peer(path: path), try server.client())
            #expect(throws: Errno.connectionReset) { try silent.receiveText() }
            #expect(!patient.hasNews)
            #expect(try patient.echo("hello") == "hello")
        }
    }

    @Test func connectingThatTakesTooLongEndsWithThree() async throws {
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        for words in [["127.0.0.1:\(host.port)", "--timeout", "200ms"], ["127.0.0.1:\(host.port)?timeout=200ms"]] {
            let start = ContinuousClock.now
            let client = try await outcome(of: [Place.pier, "connect"] + words)
            let taken = ContinuousClock.now - start
            #expect(client.status == 3)
            expectOneSentence(client, "timed out")
            #expect(taken > .milliseconds(190) && taken < .seconds(60), "\(taken)")
        }
        _ = fillers
    }

    @Test func theTimeoutIsForConnectingAndNotForTheConversation() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--timeout", "1s") { client in
            let peer = try await host.accept()
            let start = ContinuousClock.now
            try await eventually { ContinuousClock.now - start > .milliseconds(1200) }
            try peer.send("late")
            peer.finish()
            client.finishInput()
            #expect(try await client.end() == 0)
            #expect(client.output.text == "late")
        }
    }
}
