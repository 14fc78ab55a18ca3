internal import ArgumentParser
internal import SocketCore
internal import Sockets

/// `pier connect ENDPOINT`
struct Connect: Verb {
    static let configuration = CommandConfiguration(
        abstract: text("Joins standard input and output to an endpoint.", "把标准输入和标准输出与一个端点接在一起。"),
        discussion: text(
            """
            In full duplex, what comes from standard input is sent and what is received is written to standard output, both \
            at once and as it is; on a terminal it is escaped. At the end of input the sending direction is finished, and \
            receiving goes on until the peer has finished too. A peer that finishes first is sent what the input still has, \
            until that is silent for --linger.

            In half duplex it is a dialogue, a line and its reply in turn. In send and receive only one direction is used. \
            The endpoint takes the flags \(keys.dropLast().joined(separator: ", ")) and \(keys.last ?? "") behind a ?, as in \
            ?ipv4=true.

            Where a name has several addresses they are tried a quarter of a second apart, and the first that answers is \
            used. With datagrams, each line or piece of input is one, and the end is silence: see --linger.

            The peer may be silent for as long as it likes; but after --keep-alive of silence it is asked whether it is \
            still there, and a peer that has vanished is a time-out.
            """,
            """
            全双工时，标准输入的内容被发送，收到的内容写到标准输出，两个方向同时进行，内容原样不变；写到终端时会转义。\
            输入结束后发送方向随之结束，接收继续进行，直到对方也结束。对方先结束时，输入里还有的继续发送，直到它沉默了 \
            --linger。

            半双工时是一段对话，一行和它的回应轮流进行。send 和 receive 只使用一个方向，即单工。\
            端点的 ? 后面可以写这些参数：\(keys.joined(separator: "、"))，例如 ?ipv4=true。

            名字有几个地址时，每隔四分之一秒尝试下一个，使用最先应答的。数据报：每一行或每一段输入是一个数据报，\
            没有结束，只有沉默：见 --linger。

            对方可以一直沉默；但沉默了 --keep-alive 之后，会询问它是否还在，消失了的对方算作超时。
            """))

    static let examples = [
        Example(
            "pier connect 127.0.0.5:8520 --duplex half",
            text("the tutorial's client: a line, its reply, and again", "教程里的客户端：一问一答")),
        Example(
            "pier connect localhost:8520 < question > answer",
            text("sends a file, and keeps all that comes back", "发送文件，保存回应")),
    ]

    static let keys = ["duplex", "show", "timeout", "keep-alive", "linger", "ipv4", "ipv6", "source"]

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to: HOST:PORT, :PORT on this machine, a path; udp://HOST:PORT for datagrams.",
                "连接到哪里：HOST:PORT，:PORT 表示本机，或者路径；数据报写 udp://HOST:PORT。"),
            valueName: text("endpoint", "端点")), completion: .file())
    var endpoint: String

    @Option(
        help: ArgumentHelp(
            text("Who may speak when.", "谁在什么时候可以说话：全双工 full，半双工 half，单工 send 或 receive。")))
    var duplex = Duplex.full

    @Option(
        help: ArgumentHelp(
            text(
                "How what is received is shown (default: as it is; on a terminal and in half duplex, text).",
                "怎样显示收到的内容（默认：原样；在终端上和半双工时是 text）。")))
    var show: Show?

    @OptionGroup var reporting: Reporting

    @Option(
        help: ArgumentHelp(
            text("How long resolving and connecting may take; or off.", "解析和连接最多用多长时间；或者写 off。")))
    var timeout = TimeSpan(nil)

    @Option(
        help: ArgumentHelp(
            text(
                "Datagrams: how long to wait for an answer, after the end of input and in half duplex, before there is none. Streams: how long the input may be silent after the peer's end.",
                "数据报：输入结束之后以及半双工时，等待回应多久，之后就当作没有回应。流：对方结束之后，输入可以沉默多久。")))
    var linger = TimeSpan(.seconds(1))

    @Option(
        help: ArgumentHelp(
            text(
                "After how long a silence the peer's system is asked whether it is still there, over TCP; or off.",
                "沉默多久之后，询问对方的系统是否还在（TCP）；或者写 off。")))
    var keepAlive = TimeSpan(.seconds(60))

    @Option(
        help: ArgumentHelp(
            text("How long the peer may take to finish after the first signal.", "第一个信号之后，对方有多长时间来结束。")))
    var grace = TimeSpan(.seconds(5))

    @Flag(
        name: [.customShort("4"), .customLong("ipv4")],
        help: ArgumentHelp(text("Use only IPv4 addresses.", "只使用 IPv4 地址。")))
    var ipv4 = false

    @Flag(
        name: [.customShort("6"), .customLong("ipv6")],
        help: ArgumentHelp(text("Use only IPv6 addresses.", "只使用 IPv6 地址。")))
    var ipv6 = false

    @Option(
        help: ArgumentHelp(
            text(
                "Which of this machine's addresses to come from: ADDRESS or ADDRESS:PORT.",
                "使用本机的哪个地址作为源地址：ADDRESS 或 ADDRESS:PORT。")))
    var source: Source?

    func run() throws {
        let place = try parsedEndpoint(endpoint, keys: Self.keys)
        let show: Show? =
            if place["show"] != nil { try value(of: "show", in: place, else: .text, Show.hint) } else { self.show }
        let (source, family) = try origin(for: place, ipv4: ipv4, ipv6: ipv6, source: source)
        try Client(
            endpoint: place, source: source, family: family,
            timeout: try value(of: "timeout", in: place, else: timeout, TimeSpan.hint).duration,
            keepAlive: try value(of: "keep-alive", in: place, else: keepAlive, TimeSpan.hint).duration,
            grace: grace.duration,
            rules: JoinRules(
                duplex: try value(of: "duplex", in: place, else: duplex, Duplex.hint), show: show,
                linger: try value(of: "linger", in: place, else: linger, TimeSpan.hint).duration ?? .seconds(1 << 30),
                report: Report(reporting.form, isTraced: reporting.trace))
        ).run()
    }
}
