import Testing
import TestSupport

/// The tutorial's dialogue, to the letter.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DialogueTests {
    @Test func bothSidesOfTheDialogueInEnglish() async throws {
        try await serving { server in
            let client = try await pier(
                "connect", "127.0.0.1:\(server.port)", "--duplex", "half", saying: "hello,world!\nagain\n")
            #expect(client.output == "--->reply-->hello,world!\n--->reply-->again\n--->")
            #expect(client.errors.isEmpty)
            #expect(client.status == 0)
            try await server.program.output.line(with: "again")
            let lines = server.program.output.lines
            #expect(lines.count == 2)
            // One client, and so one address, which is the client's own.
            let address = lines.first.map { String($0.prefix { $0 != " " }) } ?? ""
            #expect(address.hasPrefix("127.0.0.1:"))
            #expect(lines == ["\(address) received-->hello,world!", "\(address) received-->again"])
        }
    }

    @Test func theAddressShownIsTheClients() async throws {
        try await serving { server in
            let client = try server.client()
            #expect(try client.echo("hello") == "hello")
            let port = localPort(of: client.descriptor)
            #expect(try await server.program.output.line(with: "hello") == "127.0.0.1:\(port) received-->hello")
        }
    }

    @Test(
        arguments: [
            (["LC_ALL": "zh_CN.UTF-8"], true), (["LC_MESSAGES": "zh_TW.UTF-8"], true), (["LANG": "zh_CN.UTF-8"], true),
            (["LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "zh_CN.UTF-8"], false),
            (["LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LANG": "C"], true),
            (["LC_MESSAGES": "C", "LANG": "zh_CN.UTF-8"], false), (["LC_MESSAGES": "zh_CN", "LANG": "C"], true),
            (["LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"], true), ([:], false),
        ] as [([String: String], Bool)])
    func theLocaleChoosesTheLanguage(environment: [String: String], isChinese: Bool) async throws {
        try await serving(environment: environment) { server in
            let client = try await pier(
                "connect", "127.0.0.1:\(server.port)", "--duplex", "half", saying: "hello,world!\n",
                environment: environment)
            #expect(client.output == (isChinese ? "--->已收到回应-->hello,world!\n--->" : "--->reply-->hello,world!\n--->"))
            let line = try await server.program.output.line(with: "hello,world!")
            #expect(line.hasSuffix(isChinese ? " 已收到信息-->hello,world!" : " received-->hello,world!"))
        }
    }

    @Test func anEmptyLineSendsNothingAndAsksAgain() async throws {
        try await serving { server in
            let client = try await pier("connect", "127.0.0.1:\(server.port)", "--duplex", "half", saying: "\na\n")
            #expect(client.output.contains("--->reply-->a\n--->"))
            #expect((client.output + client.errors).contains("a stream cannot carry an empty message"))
            #expect(client.output.components(of: "--->") == 3)
            #expect(client.status == 0)
            try await server.program.output.line(with: "received-->a")
            #expect(server.program.output.lines.count == 1)
        }
    }

    @Test func theLastLineNeedsNoNewline() async throws {
        try await serving { server in
            let client = try await pier("connect", "127.0.0.1:\(server.port)", "--duplex", "half", saying: "a\nb")
            #expect(client.output == "--->reply-->a\n--->reply-->b\n--->")
        }
    }

    @Test func theDialogueWaitsForTheReplyBeforeItAsksAgain() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("one\ntwo\n")
            let peer = try await host.accept()
            #expect(try peer.receive(3) == Array("one".utf8))
            try await client.output.begins(with: "--->")
            #expect(client.output.text == "--->")
            try peer.send("1")
            #expect(try peer.receive(3) == Array("two".utf8))
            try peer.send("2")
            try await client.output.begins(with: "--->reply-->1\n--->reply-->2\n--->")
            client.finishInput()
            #expect(try peer.receiveText() == "")
            // Nothing that the peer still says is dropped.
            try peer.send("3")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(client.output.text.hasSuffix("--->reply-->3\n"))
        }
    }

    @Test func aReplyIsAlwaysEscaped() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("a\n")
            let peer = try await host.accept()
            _ = try peer.receive(1)
            try peer.send(Array("\u{1b}]0;x\u{7}\u{9b}1m\u{7f}\u{202e}\tq\rz\n".utf8) + [0xff])
            try await client.output.line(with: "reply")
            #expect(client.output.lines == ["--->reply-->\\x1b]0;x\\x07\\u{9b}1m\\x7f\\u{202e}\tq\\rz\\n\\xff"])
        }
    }

    @Test func aMessageShownByTheServerIsAlwaysEscaped() async throws {
        try await serving { server in
            let client = try server.client()
            try client.send(Array("\u{1b}[2J\u{0}\u{200f}ä".utf8) + [0x80, 0x61])
            let line = try await server.program.output.line(with: "received-->")
            #expect(line.hasSuffix("received-->\\x1b[2J\\x00\\u{200f}ä\\x80a"))
        }
    }

    @Test func messagesCanBeShownInHexOrNotAtAll() async throws {
        let path = temporaryPath("sock")
        try await serving("--show", "hex", path + "?show=none") { server in
            let unseen = try Peer(path: path)
            #expect(try unseen.echo("unseen") == "unseen")
            let client = try server.client()
            #expect(try client.echo("AZ\n") == "AZ\n")
            let line = try await server.program.output.line(with: "received-->")
            #expect(line.hasSuffix(" received-->41 5a 0a"))
            #expect(server.program.output.lines.count == 1)
            for (show, shown) in [
                ("hex", "--->reply-->71\n--->"), ("none", "--->--->"), ("text", "--->reply-->q\n--->"),
            ] {
                let client = try await pier(
                    "connect", "127.0.0.1:\(server.port)", "--duplex", "half", "--show", show, saying: "q\n")
                #expect(client.output == shown)
            }
        }
    }

    @Test(arguments: ["tasks", "callbacks", "threads", "blocking"])
    func aCharacterCutByTheReceiveSizeIsShownWhole(model: String) async throws {
        try await serving("--receive-size", "1", "--model", model) { server in
            let client = try server.client()
            #expect(try client.echo("aä€😀") == "aä€😀")
            client.finish()
            #expect(try client.receiveText() == "")
            try await server.program.output.line(with: "😀")
            let shown = server.program.output.lines.compactMap { $0.split(separator: ">").last }
            #expect(shown == ["a", "ä", "€", "😀"])
        }
    }

    @Test func theBeginningOfACharacterIsShownAsBytesWhenTheClientLeaves() async throws {
        try await serving { server in
            let client = try server.client()
            try client.send([0x61, 0xe2, 0x82])
            client.finish()
            let line = try await server.program.output.line(with: "\\xe2")
            #expect(line.hasSuffix("received-->\\xe2\\x82"))
        }
    }

    @Test func onATerminalTheDialogueEndsWithANewline() async throws {
        try await serving { server in
            let terminal = try Terminal()
            let screen = terminal.gather()
            try await running(
                "connect", "127.0.0.1:\(server.port)", "--duplex", "half", input: .descriptor(terminal.program),
                output: .descriptor(terminal.program)
            ) { client in
                try await screen.begins(with: "--->")
                terminal.type("hello\n")
                try await screen.begins(with: "--->reply-->hello\n--->")
                terminal.typeEnd()
                #expect(try await client.end() == 0)
                try await screen.begins(with: "--->reply-->hello\n--->\n")
            }
        }
    }
}

extension String {
    /// How often a part occurs.
    fileprivate func components(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: part) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
