internal import ArgumentParser
internal import SocketCore
internal import Sockets

/// `pier listen ENDPOINT`
struct Listen: Verb {
    static let configuration = CommandConfiguration(
        abstract: text(
            "Joins standard input and output to the first client.", "把标准输入和标准输出与第一个客户端接在一起。"),
        discussion: text(
            """
            The counterpart of connect: in full duplex, what comes from standard input is sent and what is received is \
            written to standard output, both at once and as it is; on a terminal it is escaped. In half duplex it is a \
            dialogue, in which the client has the first word. The endpoint takes the flags \
            \(keys.dropLast().joined(separator: ", ")) and \(keys.last ?? "") behind a ?.

            As soon as the first client is there nobody listens any more: a second one is refused. With --keep one client \
            is joined after another, and meanwhile others queue. Standard input is for all of them together, and ends once: \
            who comes after its end hears so at once, and is received from. What a client took nothing of is kept for the \
            next; what it took only in part is told.

            At the end of input the sending direction is finished, and receiving goes on until the client has finished too. \
            When the client finishes first, the input is sent on until it has been silent for --linger. The first SIGINT \
            or SIGTERM ends the input and the listening, and lets the client finish; the second ends at once.

            With datagrams the first sender is the client, and those of others are dropped and counted. Each line or piece \
            of input is one; the end is silence: see --linger.
            """,
            """
            与 connect 相对：全双工时，标准输入的内容被发送，收到的内容写到标准输出，两个方向同时进行，内容原样不变；\
            写到终端时会转义。半双工时是一段对话，由客户端先说。端点的 ? 后面可以写这些参数：\
            \(keys.joined(separator: "、"))。

            第一个客户端一到就不再监听：第二个会被拒绝。用 --keep 时一个接一个地与客户端接在一起，其间别的客户端排队。\
            标准输入由所有客户端共用，只结束一次：在它结束之后来的客户端立即得知发送已经结束，仍然接收它发来的内容。\
            客户端完全没有取走的内容留给下一个；只取走一部分的会说出来。

            输入结束后发送方向随之结束，接收继续进行，直到客户端也结束。客户端先结束时，输入继续发送，直到它沉默了 \
            --linger。第一个 SIGINT 或 SIGTERM 结束输入和监听，让客户端结束；第二个立即结束。

            数据报：第一个发送者就是客户端，其他人的被丢弃并计数。每一行或每一段输入是一个数据报；没有结束，只有沉默：\
            见 --linger。
            """))

    static let examples = [
        Example(
            "pier listen 127.0.0.5:8520 > file < /dev/null",
            text("receives a file from the first client", "从第一个客户端接收一个文件")),
        Example(
            "pier listen ./chat.sock --keep",
            text("talks with one client after another", "与客户端一个接一个地交谈")),
    ]

    static let keys = ["keep", "duplex", "show", "backlog", "timeout", "idle-timeout", "linger", "keep-alive"]

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to listen: HOST:PORT, :PORT for every address, a path; udp://HOST:PORT for datagrams; port 0 is a free port.",
                "在哪里监听：HOST:PORT，:PORT 表示所有地址，或者路径；数据报写 udp://HOST:PORT；端口 0 表示任意一个空闲端口。"),
            valueName: text("endpoint", "端点")), completion: .file())
    var endpoint: String

    @Flag(
        help: ArgumentHelp(
            text("Join one client after another, until a signal comes.", "一个接一个地与客户端接在一起，直到收到信号。")))
    var keep = false

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

    @Option(help: ArgumentHelp(text("How many clients may queue until they are accepted.", "最多有多少客户端排队等待被接受。")))
    var backlog = Count(Listener.defaultBacklog)

    @Option(
        help: ArgumentHelp(text("How long to wait for the first client; or off.", "等待第一个客户端最多多长时间；或者写 off。")))
    var timeout = TimeSpan(nil)

    @Option(
        help: ArgumentHelp(
            text(
                "How long nothing may come from a client or go to it, before it is a time-out; with datagrams, before it is the end; or off.",
                "与客户端之间多久没有任何收发就算超时；数据报则算作结束；或者写 off。")))
    var idleTimeout = TimeSpan(nil)

    @Option(
        help: ArgumentHelp(
            text(
                "The silence that is taken for the end: of datagrams, after the end of input; of the input, after the client's end.",
                "沉默多久当作结束：数据报，在输入结束之后；输入，在客户端结束之后。")))
    var linger = TimeSpan(.seconds(1))

    @Option(
        help: ArgumentHelp(
            text(
                "After how long a silence the client's system is asked whether it is still there, over TCP; or off.",
                "沉默多久之后，询问客户端的系统是否还在（TCP）；或者写 off。")))
    var keepAlive = TimeSpan(.seconds(60))

    @Option(
        help: ArgumentHelp(
            text("How long the client may take to finish after the first signal.", "第一个信号之后，客户端有多长时间来结束。")))
    var grace = TimeSpan(.seconds(5))

    func run() throws {
        let place = try parsedEndpoint(endpoint, keys: Self.keys)
        do throws(SocketError) {
            if place.transport.carriesDatagrams {
                try DatagramSocket.check(place)
            } else {
                try Listener.check(place)
            }
        } catch {
            throw Failure(error)
        }
        let show: Show? =
            if place["show"] != nil { try value(of: "show", in: place, else: .text, Show.hint) } else { self.show }
        let keeps = try value(of: "keep", in: place, else: keep, text("true or false", "true 或 false"))
        try Host(
            endpoint: place, keeps: keeps,
            backlog: try value(of: "backlog", in: place, else: backlog, Count.hint).value,
            timeout: try value(of: "timeout", in: place, else: timeout, TimeSpan.hint).duration,
            keepAlive: try value(of: "keep-alive", in: place, else: keepAlive, TimeSpan.hint).duration,
            grace: grace.duration,
            rules: JoinRules(
                duplex: try value(of: "duplex", in: place, else: duplex, Duplex.hint), show: show,
                linger: try value(of: "linger", in: place, else: linger, TimeSpan.hint).duration ?? .seconds(1 << 30),
                idleTimeout: try value(of: "idle-timeout", in: place, else: idleTimeout, TimeSpan.hint).duration,
                keepsInput: keeps, answers: true, report: Report(reporting.form, isTraced: reporting.trace))
        ).run()
    }
}
