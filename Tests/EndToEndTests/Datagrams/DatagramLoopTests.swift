import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Two servers that are made to answer each other, by one datagram that says it is from the other, fall silent by
/// themselves (CVE-2024-2169).
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)),
    .enabled(if: ForgedDatagram.missing == nil, "\(ForgedDatagram.missing ?? "")"))
struct DatagramLoopTests {
    struct Pair: Sendable, CustomTestStringConvertible {
        let one: String
        let other: String
        let model: String
        var otherModel = "tasks"
        var endpoint = "udp://127.0.0.1:0"
        var testDescription: String { "\(one) and \(other) on \(endpoint), \(model) and \(otherModel)" }
    }

    static let pairs: [Pair] =
        models.map { Pair(one: "echo", other: "echo", model: $0, otherModel: $0) } + [
            Pair(one: "echo", other: "echo", model: "tasks", otherModel: "threads"),
            Pair(one: "echo", other: "chargen", model: "tasks"), Pair(one: "echo", other: "chargen", model: "threads"),
            Pair(one: "echo", other: "daytime", model: "tasks"), Pair(one: "echo", other: "daytime", model: "threads"),
            Pair(one: "chargen", other: "daytime", model: "tasks", otherModel: "threads"),
            Pair(one: "echo", other: "echo", model: "tasks", endpoint: "udp://[::1]:0"),
            Pair(one: "echo", other: "echo", model: "threads", otherModel: "threads", endpoint: "udp://[::1]:0"),
            Pair(one: "echo", other: "echo", model: "tasks", endpoint: "udp://:0"),
            Pair(one: "echo", other: "echo", model: "threads", otherModel: "threads", endpoint: "udp://:0"),
        ]

    @Test(arguments: pairs)
    func twoServersFallSilent(pair: Pair) async throws {
        let isIPv6 = pair.endpoint.contains("::1")
        try await servingDatagrams(
            pair.one, at: [pair.endpoint], "--events", "json", "--show", "none", "--model", pair.model
        ) { one in
            try await servingDatagrams(
                pair.other, at: [pair.endpoint], "--events", "json", "--show", "none", "--model", pair.otherModel
            ) { other in
                try ForgedDatagram.send("hello", from: other.port(), to: one.port(), isIPv6: isIPv6)
                // The forged one was answered, and so was its answer.
                try await one.program.errors.line(with: "\"event\":\"sent\"")
                try await other.program.errors.line(with: "\"event\":\"sent\"")
                try await silence(of: [one, other])
                let count = received(one) + received(other)
                #expect(count <= 256, "\(count)")
                // And whoever else asks is answered as before.
                for server in [one, other] {
                    let sender = try DatagramPeer(port: server.port(), host: isIPv6 ? "::1" : "127.0.0.1")
                    try sender.send("hello")
                    #expect(sender.hasNews(within: 120_000))
                }
                try await one.end()
                try await other.end()
            }
        }
    }

    @Test(arguments: models, ["echo", "chargen", "daytime"])
    func aServerIsNotMadeToAnswerItself(model: String, service: String) async throws {
        for endpoint in ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://:0"] {
            try await expectNoSelfAnswer(service, endpoint, model)
        }
    }

    private func expectNoSelfAnswer(_ service: String, _ endpoint: String, _ model: String) async throws {
        try await servingDatagrams(service, at: [endpoint], "--events", "json", "--show", "none", "--model", model) {
            server in
            let isIPv6 = endpoint.contains("::1")
            try ForgedDatagram.send("hello", from: server.port(), to: server.port(), isIPv6: isIPv6)
            try await silence(of: [server])
            #expect(received(server) <= 255)
            let sender = try DatagramPeer(port: server.port(), host: isIPv6 ? "::1" : "127.0.0.1")
            try sender.send("hello")
            #expect(sender.hasNews(within: 120_000))
            try await server.end()
        }
    }

    private func received(_ server: DatagramServer) -> Int {
        server.program.errors.lines.count { $0.contains("\"event\":\"received\"") }
    }

    /// Waits until nothing more has come for a while, which only time can show; a round takes far less than that.
    private func silence(of servers: [DatagramServer]) async throws {
        let end = ContinuousClock.now + patience
        var count = -1
        while case let now = servers.reduce(0, { $0 + received($1) }), now != count {
            guard ContinuousClock.now < end else { throw Unexpected(text: "\(now) datagrams, and no end") }
            count = now
            try await Task.sleep(for: .milliseconds(300))
        }
    }
}
