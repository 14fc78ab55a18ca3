import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `connect --retry`.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RetryTests {
    @Test(arguments: Wire.allCases)
    func whoComesLaterIsConnectedToAndGetsAllOfTheInput(wire: Wire) async throws {
        let place = wire == .tcp ? "127.0.0.1:\(try freePort())" : temporaryPath("sock")
        try await running("connect", place, "--retry", "forever", "--backoff", "5ms..50ms") { client in
            client.write("read before there was anybody")
            client.finishInput()
            try await client.errors.line(with: wire == .tcp ? "refused" : "no such file")
            try await running("serve", "echo", place, input: .file("/dev/null")) { server in
                let status = try await client.end()
                #expect(status == 0, "\(client.errors.text)")
                #expect(client.output.text == "read before there was anybody")
                // Many tries are told seldom.
                #expect(client.errors.lines.count <= 20, "\(client.errors.text)")
            }
        }
    }

    @Test func eachTryThatFailedIsAnEventAndTheLastEndsIt() async throws {
        let place = "127.0.0.1:\(try freePort())"
        let client = try await pier("connect", place, "--retry", "2", "--backoff", "5ms..10ms", "--events", "json")
        #expect(client.status == 1)
        let told = try await Events.checked(Array(client.errors.utf8))
        try #require(told.count == 4, "\(told)")
        let cause = "operation=connect cause=system errno=111"
        for (index, event) in told.prefix(2).enumerated() {
            #expect(event.hasPrefix("retry message=connect tcp \(place): connection refused; try \(index + 1) failed"))
            #expect(event.hasSuffix("\(cause) tries=\(index + 1)"), "\(event)")
        }
        #expect(told[2].hasPrefix("error message=") && told[2].hasSuffix("\(cause) status=1"))
        #expect(told[3] == "totals clients=0 received=0 sent=0 messages=0 errors=1")
    }

    @Test func inProseOneLineTellsOfManyTries() async throws {
        let place = "127.0.0.1:\(try freePort())"
        let client = try await pier("connect", place, "--retry", "20", "--backoff", "1ms..1ms")
        #expect(client.status == 1)
        let lines = client.errors.split(separator: "\n")
        #expect(lines.count == 2, "\(client.errors)")
        #expect(lines[0].hasPrefix("warning: connect tcp \(place): connection refused; try 1 failed"))
        #expect(lines[1].hasPrefix("pier: connect tcp \(place): connection refused"))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalDuringThePauseEndsItAtOnce(signal: CInt) async throws {
        let place = "127.0.0.1:\(try freePort())"
        try await running("connect", place, "--retry", "forever", "--backoff", "1h..1h", "--grace", "1h") { client in
            try await client.errors.line(with: "refused")
            client.send(signal)
            #expect(try await client.end() == -signal)
        }
    }

    @Test func theTimeoutIsForEachTry() async throws {
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        let client = try await pier(
            "connect", "127.0.0.1:\(host.port)", "--timeout", "50ms", "--retry", "2", "--backoff", "1ms..1ms",
            "--events", "json")
        #expect(client.status == 3)
        let told = try await Events.checked(Array(client.errors.utf8))
        #expect(told.filter { $0.hasPrefix("retry ") && $0.contains("cause=timed-out") }.count == 2, "\(told)")
        _ = fillers
    }

    @Test(arguments: ["127.0.0.1:0", "exec:no-such-program", "file:///no/such/file"])
    func whatNoTimeMendsIsNotTriedAgain(place: String) async throws {
        let client = try await pier("connect", place, "--retry", "forever", "--backoff", "1h..1h")
        #expect(client.status == (place.hasSuffix(":0") ? 2 : 1))
        expectOneSentence(client, place.hasSuffix(":0") ? "port 0" : "no such")
    }
}
