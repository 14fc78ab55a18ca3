import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The services over UDP, Unix datagrams and TCP at once, in every way to wait.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramServiceTests {
    /// Runs a service on all of them; `senders` are one for each kind of datagrams.
    private func serving(
        _ service: String, _ model: String, environment: [String: String] = [:],
        body: (DatagramServer, _ senders: [DatagramPeer]) async throws -> Void
    ) async throws {
        let endpoints = ["udp://127.0.0.1:0", "udp://[::1]:0", unixDatagramEndpoint(), "127.0.0.1:0"]
        try await servingDatagrams(
            service, at: endpoints, "--model", model, environment: environment
        ) { server in try await body(server, try (0..<3).map { try server.sender(to: $0) }) }
    }

    @Test(arguments: models)
    func eachEndpointIsToldAndTakenByConnectAsItIs(model: String) async throws {
        try await serving("echo", model) { server, _ in
            #expect(server.program.errors.lines == server.places.map { "listening \($0)" })
            #expect(server.places[0].wholeMatch(of: /udp:\/\/127\.0\.0\.1:[1-9]\d*/) != nil)
            #expect(server.places[1].wholeMatch(of: /udp:\/\/\[::1\]:[1-9]\d*/) != nil)
            #expect(server.places[2].hasPrefix("unix-dgram:///tmp/"))
            #expect(server.places[3].hasPrefix("tcp://127.0.0.1:"))
            for place in server.places {
                let client = try await connectingPatiently(
                    place, linger: .milliseconds(200), saying: "hello", isAnswered: { $0.output == "hello" })
                #expect(client.status == 0 && client.output == "hello", "\(place): \(client.errors)")
            }
            try await server.end()
            #expect(server.program.output.lines.count { $0.hasSuffix(" received-->hello") } >= 4)
        }
    }

    @Test(arguments: models)
    func echoSendsEachDatagramBackAsItIsAndShowsIt(model: String) async throws {
        try await serving("echo", model) { server, senders in
            for sender in senders {
                #expect(try sender.ask("hello\n") == "hello\n")
                try await server.program.output.line(with: "\(sender.name) received-->hello")
                #expect(try sender.ask([]) == [])
                #expect(try sender.ask("深水\u{1b}[2J") == "深水\u{1b}[2J")
                try await server.program.output.line(with: "\(sender.name) received-->深水\\x1b[2J")
                let bytes = randomBytes(1400)
                #expect(try sender.ask(bytes) == bytes)
            }
            #expect(try Peer(port: server.port(3)).echo("stream") == "stream")
            try await server.end()
            for sender in senders {
                #expect(!sender.hasNews())
                // In bytes: what was shown may begin with a combining mark, which is one character with the arrow.
                let start = "\(sender.name) received-->"
                let shown = server.program.output.lines.filter { $0.utf8.starts(with: start.utf8) }
                // The newline inside random bytes is escaped, so that a datagram is one line.
                #expect(shown.count == 4 && shown[1] == "\(sender.name) received-->", "\(shown)")
            }
        }
    }

    @Test(arguments: models)
    func discardShowsEverythingAndAnswersNothing(model: String) async throws {
        try await serving("discard", model) { server, senders in
            for sender in senders {
                try sender.send("hello")
                try sender.send([])
                try sender.send([UInt8](repeating: 0x78, count: 60_000))
                try await server.program.output.line(with: "\(sender.name) received-->xxx")
            }
            try await server.end()
            for sender in senders {
                // In bytes: what was shown may begin with a combining mark, which is one character with the arrow.
                let start = "\(sender.name) received-->"
                let shown = server.program.output.lines.filter { $0.utf8.starts(with: start.utf8) }
                #expect(shown.map { $0.count - sender.name.count } == [17, 12, 60_012])
                #expect(!sender.hasNews())
            }
        }
    }

    @Test(arguments: models)
    func chargenAnswersEachDatagramWithOneOfUpTo512Characters(model: String) async throws {
        try await serving("chargen", model) { server, senders in
            for sender in senders {
                let answers = try (0..<50).map { try sender.ask([UInt8](repeating: 0x78, count: $0 * 20)) }
                #expect(answers.allSatisfy { $0.count <= 512 })
                #expect(Set(answers.map(\.count)).count > 1)
                let isText = answers.joined().allSatisfy { (32...126).contains($0) || $0 == 13 || $0 == 10 }
                #expect(isText)
            }
            try await server.end()
            for sender in senders { #expect(!sender.hasNews()) }
        }
    }

    @Test(arguments: models)
    func daytimeAnswersEachDatagramWithTheTime(model: String) async throws {
        try await serving("daytime", model) { server, senders in
            for sender in senders {
                for question in ["what time is it?", ""] {
                    let line = try sender.ask(question)
                    let form =
                        /(Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day, [A-Z][a-z]+ [1-9][0-9]?, 2[0-9]{3} \d\d:\d\d:\d\d-UTC/
                    // To Swift, CR and LF together are one character.
                    #expect(line.hasSuffix("\r\n") && line.dropLast().wholeMatch(of: form) != nil, "\(line)")
                    let told = try await outcome(of: ["date", "-u", "-d", String(line.dropLast(5)) + " UTC", "+%s"])
                    let seconds = Int(told.output.dropLast()) ?? 0
                    #expect(abs(time(nil) - seconds) < 60, "\(line) \(told.errors)")
                }
            }
            try await server.end()
            for sender in senders { #expect(!sender.hasNews()) }
        }
    }

    @Test(arguments: models)
    func whereTheLocaleIsChineseWhatComesIsShownInChinese(model: String) async throws {
        try await serving("echo", model, environment: ["LANG": "zh_CN.UTF-8"]) { server, senders in
            for sender in senders {
                #expect(try sender.ask("水有多深？") == "水有多深？")
                #expect(try sender.ask([]) == [])
            }
            try await server.end()
            for sender in senders {
                let shown = server.program.output.lines.filter { $0.hasPrefix(sender.name) }
                #expect(shown == ["\(sender.name) 已收到信息-->水有多深？", "\(sender.name) 已收到信息-->"])
            }
        }
    }

    @Test(arguments: models)
    func showChoosesHowDatagramsAreShownForEachEndpoint(model: String) async throws {
        let endpoints = ["udp://127.0.0.1:0", "udp://127.0.0.1:0?show=none"]
        try await servingDatagrams(at: endpoints, "--show", "hex", "--model", model) { server in
            let (shown, hidden) = (try server.sender(), try server.sender(to: 1))
            #expect(try hidden.ask("hidden") == "hidden")
            #expect(try shown.ask("abc") == "abc")
            try await server.end()
            #expect(server.program.output.text.contains("61 62 63"), "\(server.program.output.text)")
            #expect(!server.program.output.text.contains(hidden.name))
        }
    }
}
