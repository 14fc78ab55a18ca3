import Testing
import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where the locale's language is Chinese, everything that a person reads is.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ChineseTests {
    private static let chinese = ["LC_ALL": "zh_CN.UTF-8"]

    /// No four words of English in a row, outside of what is quoted.
    private func expectChinese(_ line: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let plain = line.replacing(/"[^"]*"|'[^']*'/, with: "“”")
        let words = plain.split(separator: " ").map { word in
            word.wholeMatch(of: /[\[(<]*[A-Za-z][A-Za-z'-]+[\])>,.;:]*/) != nil
        }
        let longest = words.split(separator: false).map(\.count).max() ?? 0
        #expect(longest < 4, "\(line)", sourceLocation: sourceLocation)
    }

    /// How many columns of a terminal a line takes.
    private func columns(_ line: some StringProtocol) -> Int {
        line.unicodeScalars.reduce(0) { $0 + ($1.value < 0x2e80 ? 1 : 2) }
    }

    @Test(arguments: [[], ["serve"], ["connect"]])
    func everyPageOfHelpIsChineseAndFitsEightyColumns(verb: [String]) async throws {
        let page = try await outcome(of: [Place.pier] + verb + ["--help"], environment: Self.chinese)
        #expect(page.status == 0 && page.errors.isEmpty)
        let lines = page.output.split(separator: "\n").map(String.init)
        for line in lines {
            #expect(columns(line) <= 80, "\(columns(line)): \(line)")
            // An example is a command, three blanks or more, and what it does.
            let isExample = line.hasPrefix("  pier ")
            let explanation = isExample ? line.firstRange(of: "   ").map { String(line[$0.upperBound...]) } : line
            expectChinese(try #require(explanation))
            #expect(!isExample || explanation?.unicodeScalars.contains { $0.value >= 0x4e00 } == true)
        }
        for heading in ["概述：", "用法：", "选项：", "示例："] { #expect(page.output.contains(heading)) }
        // The same options as in English.
        let english = try await outcome(of: [Place.pier] + verb + ["--help"])
        func options(_ text: String) -> [Substring] {
            text.split(separator: "\n").compactMap { $0.firstMatch(of: /^  (-.*?)(  |$)/)?.1 }
        }
        #expect(options(page.output) == options(english.output))
        #expect(!english.output.unicodeScalars.contains { $0.value >= 0x2e80 })
    }

    @Test(arguments: [
        (["connect", "127.0.0.1:65536"], "pier: 端点 \"127.0.0.1:65536\" 写错了，在第 11 个字符处：端口 65536 太大；最大是 65535\n"),
        (["connect", "tcq://a:80"], "pier: 端点 \"tcq://a:80\" 写错了，在第 1 个字符处：未知的方案 \"tcq\"；你是不是想写 \"tcp\"？\n"),
        (["connect", "127.0.0.1:0"], "pier: 端点 \"tcp://127.0.0.1:0\" 写错了，在第 1 个字符处：不能连接端口 0；它对监听者来说是“任意一个空闲端口”\n"),
        (["srve", "echo"], "pier: 未知的动词 \"srve\"；你是不是想写 serve？\n"),
        (["connect"], "pier: 缺少参数 '<端点>'；请看 pier connect --help\n"),
        (
            ["connect", "127.0.0.1:1", "--dplex", "half"],
            "pier: 未知的选项 '--dplex'；你是不是想写 '--duplex'？；请看 pier connect --help\n"
        ),
        (["connect", "127.0.0.1:1", "1", "a", "b"], "pier: 多余的参数 'a'、'b'；请看 pier connect --help\n"),
        (
            ["connect", "127.0.0.1:1", "--timeout", "5d"],
            "pier: '5d' 不能作为 '--timeout <timeout>' 的值；它是大于 0 的时间，例如 2（秒）、500ms、1.5s 或 1m30s，或者 off\n"
        ),
        (
            ["serve", "eco", "127.0.0.1:0"],
            "pier: 'eco' 不能作为 '<服务>' 的值；请从 'echo'、'discard'、'chargen'、'daytime' 中选一个；请看 pier serve --help\n"
        ),
        (
            ["connect", "127.0.0.1:1", "--timeout"],
            "pier: '--timeout <timeout>' 缺少值；它是大于 0 的时间，例如 2（秒）、500ms、1.5s 或 1m30s，或者 off\n"
        ),
        (
            ["connect", "127.0.0.1:1?duplex=x"],
            "pier: tcp://127.0.0.1:1?duplex=x：duplex 是其中之一：full、half、send、receive，不能是 \"x\"\n"
        ),
        (
            ["connect", "nosuch.invalid:80"], "pier: 解析：nosuch.invalid："
        ),
    ])
    func wrongWordsAreToldInChinese(words: [String], sentence: String) async throws {
        let command = try await outcome(of: [Place.pier] + words, environment: Self.chinese)
        #expect(command.errors.hasPrefix(sentence), "\(command.errors)")
        expectChinese(command.errors)
    }

    @Test func failuresAreToldInChinese() async throws {
        let port = try freePort()
        let refused = try await pier("connect", "127.0.0.1:\(port)", environment: Self.chinese)
        #expect(refused.errors == "pier: 连接 tcp 127.0.0.1:\(port)：连接被拒绝；没有程序在那里监听：请检查端口，或者先启动服务端\n")
        try await serving { server in
            let second = try await pier("serve", "echo", "127.0.0.1:\(server.port)", environment: Self.chinese)
            #expect(second.errors == "pier: 绑定 tcp 127.0.0.1:\(server.port)：地址已被占用；别的程序正在那里监听：请换一个端口，或者用端口 0 取一个空闲的\n")
        }
        let host = try Host(backlog: 0)
        let fillers = try host.fill()
        let late = try await pier("connect", "127.0.0.1:\(host.port)", "--timeout", "100ms", environment: Self.chinese)
        #expect(late.errors == "pier: 连接 tcp 127.0.0.1:\(host.port)：超时；请检查地址，或者用 --timeout 多给一些时间\n")
        #expect(late.status == 3 && fillers.count == 3)
    }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func theTraceAndWhatVerboseTellsAreChineseAndListeningStaysAsItIs(model: String) async throws {
        let server = ["serve", "echo", ":0", "--trace", "--verbose", "--model", model, "--idle-timeout", "1s"]
        try await starting([Place.pier] + server, environment: Self.chinese) { server in
            try await server.errors.line(with: "警告：")
            let port = try await listeningPort(of: server)
            let client = try await pier(
                "connect", "127.0.0.1:\(port)", "--trace", "--verbose", saying: "hello\n", environment: Self.chinese)
            do {
                let peer = try Peer(port: port)
                #expect(try peer.echo("hello") == "hello")
                peer.resetAtClose()
            }
            #expect(throws: Errno.connectionReset) { try Peer(port: port).receiveText() }
            try await server.errors.line(with: "接收阻塞了")
            server.send(SIGTERM)
            #expect(try await server.end() == 0)
            let lines = server.errors.lines + client.errors.split(separator: "\n").map(String.init)
            for part in ["已创建 <socket fd=", "已绑定", "已接受", "已连接", "关闭了 fd", "合计：", "接受了", "已关闭："] {
                #expect(lines.contains { $0.contains(part) }, "\(part)")
            }
            for line in lines {
                expectChinese(line)
                #expect(
                    line.hasPrefix("listening tcp://") || line.unicodeScalars.contains { $0.value >= 0x4e00 }, "\(line)"
                )
            }
        }
    }

    @Test(
        arguments: [
            (["LC_ALL": "zh_TW.UTF-8"], true), (["LANG": "zh"], true), (["LC_ALL": "", "LC_MESSAGES": "zh_CN"], true),
            (["LC_ALL": "C", "LANG": "zh_CN.UTF-8"], false), (["LANG": "zha_CN"], false), ([:], false),
        ] as [([String: String], Bool)])
    func theLocaleDecides(environment: [String: String], isChinese: Bool) async throws {
        let page = try await pier("--help", environment: environment)
        #expect(page.output.hasPrefix(isChinese ? "概述：" : "OVERVIEW: "))
    }
}
