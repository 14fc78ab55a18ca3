public import ArgumentParser
internal import SocketCore

/// The command: finds the verb, and turns whatever comes of it into an exit code.
public struct Pier: ParsableCommand {
    /// The version that `--version` tells.
    public static let version = "0.1.0"

    /// What the help says.
    public static let configuration = CommandConfiguration(
        commandName: "pier",
        abstract: text(
            "Serves, connects, listens on and relays socket endpoints: TCP and UDP over IPv4 and IPv6, and Unix sockets.",
            "服务、连接、监听和转接套接字端点：IPv4 和 IPv6 上的 TCP 与 UDP，以及 Unix 套接字。"),
        discussion: text(
            """
            An endpoint is HOST:PORT, [IPv6]:PORT, :PORT, a path with a / in it, or a URL such as tcp://127.0.0.1:8520, \
            unix:///run/a.sock or unix://@abstract; for datagrams udp://127.0.0.1:8520 or unix-dgram:///run/a.sock; - is \
            standard input and output, exec:PROGRAM ARGUMENTS a program, file:PATH a file, fd:N and systemd:NAME what was \
            passed on. A flag of a verb can stand in it too: 127.0.0.1:8520?backlog=5.

            Data and shown messages go to standard output, everything else to standard error.

            Exit codes: 0 done; 1 the network, the system or a program failed, or what --bytes or --until asks for did not \
            come; 2 the command or an endpoint is wrong; 3 timed out; 129, 130 and 143 \
            ended by a signal.
            """,
            """
            端点写作 HOST:PORT、[IPv6]:PORT、:PORT、带有 / 的路径，或者 URL，例如 tcp://127.0.0.1:8520、\
            unix:///run/a.sock 或 unix://@abstract；数据报写作 udp://127.0.0.1:8520 或 unix-dgram:///run/a.sock；- 是\
            标准输入和标准输出，exec:程序 参数 是程序，file:路径 是文件，fd:编号 和 systemd:名字 是传入的描述符。动词的参数也可以写在端点里：127.0.0.1:8520?backlog=5。

            数据和显示的信息写到标准输出，其余都写到标准错误。

            退出码：0 完成；1 网络、系统或程序出错，或者没有达到 --bytes 或 --until；2 命令或端点写错了；3 超时；129、130 和 143 被信号结束。
            """),
        version: version,
        subcommands: verbs + [Manual.self])

    /// For the parser.
    public init() {}

    /// Runs the command with the process's arguments, and ends the process.
    public static func run() -> Never {
        Standard.prepare()
        do {
            try checkVerb()
            var command = try parseAsRoot()
            try command.run()
            Standard.end(.done)
        } catch let status as ExitStatus {
            Standard.end(status)
        } catch let failure as Failure {
            failure.tell()
            Standard.end(failure.status)
        } catch {
            // Help and the version are answers; anything else the parser says is about the command's words.
            if exitCode(for: error).isSuccess { show(page(for: fullMessage(for: error)) + "\n") }
            Failure(.usage, sentence(for: error)).tell()
            Standard.end(.usage)
        }
    }

    private static func show(_ page: String) -> Never {
        do throws(Failure) {
            try Standard.answer(page)
        } catch {
            error.tell()
            Standard.end(error.status)
        }
        Standard.end(.done)
    }

    /// The verbs that the help speaks of.
    static let verbs: [any Verb.Type] = [Serve.self, Connect.self, Listen.self, RelayVerb.self]

    /// The parser's answer; where it is a page of help, our own.
    private static func page(for answer: String) -> String {
        if answer == helpMessage() { return HelpPage(nil)?.rendered(columns: Standard.columns) ?? answer }
        guard let verb = verbs.first(where: { answer == helpMessage(for: $0) }) else { return answer }
        return HelpPage(verb)?.rendered(columns: Standard.columns) ?? answer
    }

    /// What the parser found wrong, and what would be right: its own words do not say what a duration looks like.
    private static func sentence(for error: any Error) -> String {
        let said = withOwnHint(
            message(for: error).split(separator: "\n").first.map(String.init) ?? "the command is wrong")
        let hints = [
            TimeSpan.hint: ["--grace", "--linger"],
            PositiveSpan.hint: ["--idle-timeout", "--keep-alive", "--timeout"],
            Source.hint: ["--source"],
            Retries.hint: ["--retry"],
            Backoff.hint: ["--backoff"],
            EscapedText.hint: ["--until"],
            Count.hint: ["--loops", "--backlog", "--receive-size", "--max-clients", "--max-sessions"],
            ByteCount.hint: ["--bytes"],
        ]
        let advice: String
        if let hint = hints.first(where: { $0.value.contains { said.contains("'\($0) ") } })?.key {
            advice = text("it is ", "它是") + hint
        } else if said.hasPrefix("Unexpected argument '"), strictNumber(quoted(in: said).utf8) != nil {
            advice = text("a port is written HOST:PORT", "端口写作 HOST:PORT")
        } else {
            let words = "pier \(usedVerb.map { "\($0._commandName) " } ?? "")--help"
            advice = text("see ", "请看 ") + words
        }
        return parserSentence(said).escapedForTerminal() + text("; ", "；") + advice
    }

    /// The verb among the arguments.
    private static var usedVerb: (any Verb.Type)? {
        CommandLine.arguments.dropFirst().lazy.compactMap { word in verbs.first { $0._commandName == word } }.first
    }

    private static func quoted(in sentence: String) -> String {
        sentence.split(separator: "'", omittingEmptySubsequences: false).dropFirst().first.map(String.init) ?? ""
    }

    /// An unknown option gets the nearest one by the same rule as keys and verbs. The parser counts edits alone, and to
    /// `--time` it offers `--trace`.
    private static func withOwnHint(_ said: String) -> String {
        guard said.hasPrefix("Unknown option '--") else { return said }
        let word = quoted(in: said)
        let known = (HelpPage(usedVerb)?.arguments ?? []).flatMap(\.names).filter { $0.hasPrefix("--") }
        let hint = nearest(to: word, in: known).map { ". Did you mean '\($0)'?" } ?? ""
        return "Unknown option '\(word)'" + hint
    }

    /// A word that is no verb gets the nearest one; the parser would only call it unexpected.
    private static func checkVerb() throws(Failure) {
        let verbs = configuration.subcommands.map { $0._commandName } + ["help"]
        // What help is asked about is a verb too.
        let word = CommandLine.arguments.dropFirst().prefix(2).first { $0 != "help" }
        guard let word, !word.hasPrefix("-"), !verbs.contains(word) else { return }
        let shown = Self.verbs.map { $0._commandName } + ["help"]
        let hint =
            nearest(to: word, in: shown).map { text("did you mean \($0)?", "你是不是想写 \($0)？") }
            ?? text("there are \(shown.joined(separator: ", "))", "可用的有 \(shown.joined(separator: "、"))")
        let safe = word.escapedForTerminal()
        throw Failure(.usage, text("unknown verb \"\(safe)\"; \(hint)", "未知的动词 \"\(safe)\"；\(hint)"))
    }
}

/// A verb of the command.
protocol Verb: ParsableCommand {
    /// What its help ends with.
    static var examples: [Example] { get }
}
