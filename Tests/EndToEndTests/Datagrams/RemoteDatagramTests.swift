import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Senders of another machine: the two ends of a cable between two network namespaces.
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)), .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"))
struct RemoteDatagramTests {
    /// Runs a service in one namespace, for whoever comes; `sender` is in the other.
    private func serving(
        _ service: String, at endpoint: String = "udp://10.77.0.2:8520", _ model: String, _ more: String = "--verbose",
        body: (DatagramServer, _ sender: DatagramPeer) async throws -> Void
    ) async throws {
        try await inNetwork { network in
            try await servingDatagrams(
                service, at: [endpoint], "--model", model, more, launcher: network.server.launcher
            ) { server in
                let sender = try await network.client.onThread { try DatagramPeer(port: 8520, host: "10.77.0.2") }
                try await body(server, sender)
            }
        }
    }

    @Test(arguments: models, ["echo", "chargen"])
    func echoAndChargenAnswerOnlyThisMachineAndSaySoOnce(model: String, service: String) async throws {
        for endpoint in ["udp://10.77.0.2:8520", "udp://:8520"] {
            try await serving(service, at: endpoint, model, "--events=json") { server, sender in
                for _ in 0..<20 { try sender.send("hello") }
                let warning = try await server.program.errors.line(with: "--allow-remote-datagrams")
                #expect(warning.contains("10.77.0.1:\(sender.port)"), "\(warning)")
                try await server.end()
                #expect(!sender.hasNews())
                let told = server.program.errors.lines
                #expect(told.count { $0.contains("--allow-remote-datagrams") } == 1, "\(told)")
                #expect(!told.contains { $0.contains("\"event\":\"sent\"") })
            }
        }
    }

    @Test(arguments: models, ["udp://10.77.0.2:8520", "udp://:8520"])
    func daytimeAnswersOthersAndSoDoesEchoWhereItIsAllowed(model: String, endpoint: String) async throws {
        try await serving("daytime", at: endpoint, model) { server, sender in
            #expect(try sender.ask("what time is it?").hasSuffix("-UTC\r\n"))
            try await server.end()
            #expect(!server.program.errors.text.contains("not answered"))
        }
        try await serving("echo", at: endpoint, model, "--allow-remote-datagrams") { server, sender in
            #expect(try sender.ask("hello") == "hello")
            #expect(try sender.ask([]) == [])
            let bytes = randomBytes(9000)
            #expect(try sender.ask(bytes) == bytes)
            try await server.end()
            #expect(!server.program.errors.text.contains("not answered"))
        }
    }

    @Test(arguments: models)
    func chargensAnswerToOthersIsNeverLongerThanTheQuestion(model: String) async throws {
        try await serving("chargen", model, "--allow-remote-datagrams") { server, sender in
            for size in [0, 1, 2, 10, 73, 74, 100, 300, 511, 512, 600, 1400] {
                for _ in 0..<5 {
                    let answer = try sender.ask([UInt8](repeating: 0x78, count: size))
                    #expect(answer.count <= min(size, 512))
                }
            }
            try await server.end()
        }
    }
}
