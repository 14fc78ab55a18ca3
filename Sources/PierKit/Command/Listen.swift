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
            If the client finishes first, Pier keeps sending the input to its end; with --keep, until the input has been \
            silent for --linger, since the next client waits. Signals end it as they end connect. With --keep and between \
            two clients, the first signal is an end with status 0.

            With datagrams the first sender is the client, and those of others are dropped and counted. Each line or piece \
            of input is one; the end is silence: see --linger. At the address of a multicast group, as in \
            udp://239.1.2.3:8520?interface=eth0, it joins the group.

            fd:N and systemd:NAME are sockets that this process was started with: one that listens stays open for whoever \
            else holds it. A connected one is the one client, as are exec:PROGRAM ARGUMENTS and file:PATH, which is read, or \
            with --duplex send appended to; the help of connect tells more.

            --bytes and --until are about what is received from each client, and once they are reached nothing more is sent to \
            it either; --crlf is about what is sent.
            """,
            """
            与 connect 相对：全双工时，标准输入的内容被发送，收到的内容写到标准输出，两个方向同时进行，内容原样不变；\
            写到终端时会转义。半双工时是一段对话，由客户端先说。端点的 ? 后面可以写这些参数：\
            \(keys.joined(separator: "、"))。

            第一个客户端一到就不再监听：第二个会被拒绝。用 --keep 时一个接一个地与客户端接在一起，其间别的客户端排队。\
            标准输入由所有客户端共用，只结束一次：在它结束之后来的客户端立即得知发送已经结束，仍然接收它发来的内容。\
            客户端完全没有取走的内容留给下一个；只取走一部分的会说出来。

            输入结束后发送方向随之结束，接收继续进行，直到客户端也结束。客户端先结束时，输入继续发送到结束；用 --keep 时，\
            因为下一个客户端在等待，只发送到输入沉默了 --linger 为止。信号的作用与 connect 相同；用 --keep 时，在两个客户端\
            之间收到的第一个信号以退出码 0 结束。

            数据报：第一个发送者就是客户端，其他人的被丢弃并计数。每一行或每一段输入是一个数据报；没有结束，只有沉默：\
            见 --linger。地址是组播组时，例如 udp://239.1.2.3:8520?interface=eth0，就加入这个组。

            fd:N 和 systemd:名字 是启动这个进程时交来的套接字：监听套接字对其他持有者仍然开放；已连接的就是那一个客户端，\
            exec:程序 参数 和 file:路径 也是，文件是读取，用 --duplex send 时是在末尾追加；见 connect 的帮助。

            --bytes 和 --until 针对从每个客户端收到的内容，达到之后也不再向它发送；--crlf 针对发送的内容。
            """))

    static let examples = [
        Example(
            "pier listen 127.0.0.5:8520 > file < /dev/null",
            text("receives a file from the first client", "从第一个客户端接收一个文件")),
        Example(
            "pier listen ./chat.sock --keep",
            text("talks with one client after another", "与客户端一个接一个地交谈")),
    ]

    static let keys = ["keep", "backlog", "timeout", "idle-timeout"] + JoinOptions.keys

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to listen: HOST:PORT, :PORT for every address, a path; udp://HOST:PORT for datagrams; port 0 is a free port; fd:N, systemd:NAME. Or one client: exec:PROGRAM, file:PATH.",
                "在哪里监听：HOST:PORT，:PORT 表示所有地址，或者路径；数据报写 udp://HOST:PORT；端口 0 表示任意一个空闲端口；fd:N、systemd:名字。或者一个客户端：exec:程序、file:路径。"
            ),
            valueName: text("endpoint", "端点")), completion: .file())
    var endpoint: String

    @Flag(
        help: ArgumentHelp(
            text("Join one client after another, until a signal comes.", "一个接一个地与客户端接在一起，直到收到信号。")))
    var keep = false

    @OptionGroup var joining: JoinOptions

    @OptionGroup var queue: QueueOptions

    @Option(
        help: ArgumentHelp(text("How long to wait for the first client; or off.", "等待第一个客户端最多多长时间；或者写 off。")))
    var timeout = PositiveSpan(nil)

    @Option(
        help: ArgumentHelp(
            text(
                "How long nothing may come from a client or go to it, before it is a time-out; with datagrams, before it is the end; or off.",
                "与客户端之间多久没有任何收发就算超时；数据报则算作结束；或者写 off。")))
    var idleTimeout = PositiveSpan(nil)

    func run() throws {
        let place = try parsedEndpoint(endpoint, keys: Self.keys)
        var rules = try joining.rules(for: place, answers: true)
        try checkForListening(place)
        rules.keepsInput = try value(of: "keep", in: place, else: keep, Bool.hint)
        rules.idleTimeout = try value(of: "idle-timeout", in: place, else: idleTimeout, PositiveSpan.hint).duration
        try Host(
            on: place, backlog: try queue.length(of: place),
            timeout: try value(of: "timeout", in: place, else: timeout, PositiveSpan.hint).duration, rules
        ).run()
    }
}
