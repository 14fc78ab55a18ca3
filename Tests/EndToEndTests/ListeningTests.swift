import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Line 5 of the contract: what a server tells, when and where.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListeningTests {
    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func eachEndpointIsToldWhileTheServerRunsAndAnswers(model: String) async throws {
        let path = temporaryPath("sock")
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        try await running(
            "serve", "echo", "127.0.0.1:0", "[::1]:0", path, "unix://@\(name)", "--model", model, "--show", "none"
        ) { server in
            try await server.errors.line(with: "listening unix://@\(name)")
            let lines = server.errors.lines
            #expect(lines.count == 4, "\(lines)")
            #expect(lines.allSatisfy { $0.hasPrefix("listening ") })
            let places = lines.map { String($0.dropFirst("listening ".count)) }
            #expect(places[0].hasPrefix("tcp://127.0.0.1:") && !places[0].hasSuffix(":0"))
            #expect(places[1].hasPrefix("tcp://[::1]:") && !places[1].hasSuffix(":0"))
            #expect(places[2] == "unix://\(path)")
            // What is told can be given to connect as it is.
            for place in places {
                let client = try await pier("connect", place, saying: "hello")
                #expect(client.output == "hello", "\(place): \(client.errors)")
            }
            #expect(server.output.bytes.isEmpty)
            #expect(server.errors.lines.count == 4)
        }
    }

    @Test func aFixedPortIsToldToo() async throws {
        let port = try freePort()
        try await running("serve", "echo", "127.0.0.1:\(port)") { server in
            let line = try await server.errors.line(with: "listening")
            #expect(line == "listening tcp://127.0.0.1:\(port)")
        }
    }

    @Test func everyAddressIsTakenByOneSocketAndToldToBePublic() async throws {
        try await running("serve", "echo", ":0") { server in
            let warning = try await server.errors.line(with: "warning")
            #expect(warning.contains("public"))
            let listening = try await server.errors.line(with: "listening tcp://[::]:")
            let port = listening.split(separator: ":").last ?? ""
            for place in [":\(port)", "127.0.0.1:\(port)", "[::1]:\(port)"] {
                let client = try await pier("connect", place, saying: "hello")
                #expect(client.output == "hello", "\(place): \(client.errors)")
            }
            // A client of IPv4 is shown as one.
            try await server.output.line(with: "127.0.0.1:")
            #expect(!server.output.text.contains("ffff"))
        }
    }

    @Test func loopbackIsNotCalledPublic() async throws {
        let path = temporaryPath("sock")
        try await serving("127.0.0.9:0", path) { server in
            try await server.program.errors.line(with: path)
            #expect(!server.program.errors.text.contains("public"))
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aFullStandardErrorNeverStallsAClient(model: String) async throws {
        let path = temporaryPath("sock")
        try await running(
            "serve", "echo", path, "--model", model, "--trace", "--show", "none", "--receive-size", "1", errors: .unread
        ) { server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            let client = try Peer(path: path)
            let sent = randomBytes(500)
            // Each byte is a message, and each message more than a line of trace; together more than any buffer.
            for _ in 0..<40 {
                try client.send(sent)
                #expect(try client.receive(500) == sent)
            }
            client.finish()
            #expect(try client.receiveText() == "")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
        }
    }

    @Test func aServerWithoutStandardErrorServes() async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path, "--trace", errors: .closed) { server in
            try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
            let client = try Peer(path: path)
            #expect(try client.echo("hello") == "hello")
            try await server.output.line(with: "received-->hello")
        }
    }

    @Test func traceTellsTheTutorialsFourObjects() async throws {
        try await serving("--trace") { server in
            let client = try await pier("connect", "127.0.0.1:\(server.port)", "--trace", saying: "hello")
            #expect(client.output == "hello")
            let place = "127.0.0.1:\(server.port)"
            try await server.program.errors.line(with: "closed fd")
            let told = server.program.errors.text + client.errors
            for (stage, address) in [
                ("created ", "local="), ("bound ", "local=\(place)"),
                ("accepted ", "local=\(place), remote=127.0.0.1:"),
                ("connected ", "remote=\(place)"),
            ] {
                let line = told.split(separator: "\n").first { $0.hasPrefix(stage) && $0.contains(address) } ?? ""
                for part in ["fd=", "AF_INET", "SOCK_STREAM", "IPPROTO_TCP"] {
                    #expect(line.contains(part), "\(stage): \(told)")
                }
            }
            #expect(told.contains("accept waited") && told.contains("connected"))
        }
    }
}
