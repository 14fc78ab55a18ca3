import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The dialogue with datagrams: a line and its answer in turn.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramDialogueTests {
    @Test func aLineIsADatagramWithoutItsNewlineAndAnEmptyOneToo() async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await running(
            "connect", "udp://127.0.0.1:\(peer.port)", "--duplex", "half", "--linger", "20s"
        ) { client in
            try await client.output.begins(with: "--->")
            client.write("hello\n\nhow deep is the water?\n")
            #expect(try peer.receiveFirst() == Array("hello".utf8))
            try peer.send("hi\u{1b}[2J\n")
            try await client.output.begins(with: "--->reply-->hi\\x1b[2J\n--->")
            #expect(try peer.receive() == [])
            // Its answer may be anything, nothing at all included.
            try peer.send([])
            try await client.output.begins(with: "--->reply-->hi\\x1b[2J\n--->reply-->\n--->")
            #expect(try peer.receive() == Array("how deep is the water?".utf8))
            // While the answer is awaited, nothing is asked.
            client.write("next\n")
            #expect(!peer.hasNews(within: 50))
            try peer.send("7 m")
            #expect(try peer.receive() == Array("next".utf8))
            #expect(client.errors.text.isEmpty)
        }
    }

    @Test func overUnixDatagramsAndInChinese() async throws {
        let endpoint = unixDatagramEndpoint()
        try await servingDatagrams(at: [endpoint]) { server in
            let expected = "--->已收到回应-->水有多深？\n--->已收到回应-->\n--->"
            let client = try await connectingPatiently(
                endpoint, "--duplex", "half", linger: .milliseconds(300), saying: "水有多深？\n\n",
                environment: ["LC_ALL": "zh_CN.UTF-8"], isAnswered: { $0.output == expected })
            #expect(client.output == expected, "\(client.errors)")
            #expect(client.status == 0)
        }
    }

    @Test(
        arguments: [
            ([:], "no answer within 0.100 s"), (["LANG": "zh_CN.UTF-8"], "0.100 秒内没有回应"),
        ] as [([String: String], String)])
    func withoutAnAnswerItSaysSoAndAsksAgain(environment: [String: String], sentence: String) async throws {
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        try await starting(
            [
                Place.pier, "connect", "udp://127.0.0.1:\(peer.port)", "--duplex", "half", "--linger", "100ms",
            ], environment: environment
        ) { client in
            client.write("one\n")
            #expect(try peer.receiveFirst() == Array("one".utf8))
            try await client.errors.line(with: sentence)
            try await client.output.begins(with: "--->--->")
            client.write("two\n")
            #expect(try peer.receive() == Array("two".utf8))
            client.finishInput()
            #expect(try await client.end() == 0)
            #expect(client.errors.lines.count { $0.contains(sentence) } == 2, "\(client.errors.text)")
        }
    }

    @Test func aDialogueAtATerminalIsTheSame() async throws {
        try await servingDatagrams { server in
            let terminal = try Terminal()
            let screen = terminal.gather()
            try await running(
                "connect", server.places[0], "--duplex", "half", "--linger", "1s",
                input: .descriptor(terminal.program), output: .descriptor(terminal.program)
            ) { client in
                try await screen.begins(with: "--->")
                terminal.type("hello\n")
                try await screen.begins(with: "--->reply-->hello\n--->")
                terminal.typeEnd()
                #expect(try await client.end() == 0)
            }
        }
    }
}
