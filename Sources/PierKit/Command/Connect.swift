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
            receiving goes on until the peer has finished too. If the peer finishes first, Pier closes standard output and \
            keeps sending the input to its end. A peer that ends before it has all of the input makes the exit status 1. At \
            a terminal the peer's end ends the command.

            The first SIGINT, SIGTERM or SIGHUP stops reading input. What was read is still delivered, for at most --grace; \
            a second signal does not wait for that. Then Pier ends by the signal. If the input had not ended, the peer sees \
            a reset.

            In half duplex it is a dialogue, a line and its reply in turn. In send and receive only one direction is used. \
            The endpoint takes the flags \(keys.dropLast().joined(separator: ", ")) and \(keys.last ?? "") behind a ?, as in \
            ?ipv4=true.

            Where a name has several addresses they are tried a quarter of a second apart, and the first that answers is \
            used. With datagrams, each line or piece of input is one, and the end is silence: see --linger. \
            ?interface=NAME says by which interface a multicast group is reached, and ?broadcast=true allows a broadcast \
            address. With --retry, a \
            try that fails is followed by another; no input is read before one succeeds.

            exec:PROGRAM ARGUMENTS runs a program, with its own standard input and output at the other end, and no shell: when \
            it ends otherwise than with status 0, that is a failure. file:PATH is appended to, or with --duplex receive read; \
            ?mode=read, write or append says otherwise. fd:N and systemd:NAME are a connected socket, or fd:N any stream, that \
            this process was started with.

            --bytes and --until are about what is received, and once they are reached nothing more is sent either; --crlf is \
            about what is sent.

            The peer may be silent for as long as it likes; but after --keep-alive of silence it is asked whether it is \
            still there, and a peer that has vanished is a time-out.
            """,
            """
            全双工时，标准输入的内容被发送，收到的内容写到标准输出，两个方向同时进行，内容原样不变；写到终端时会转义。\
            输入结束后发送方向随之结束，接收继续进行，直到对方也结束。对方先结束时，标准输出关闭，输入继续发送到结束。\
            对方没有收到全部输入就结束时，退出码是 1。输入来自终端时，对方一结束命令就结束。

            第一个 SIGINT、SIGTERM 或 SIGHUP 之后不再读取输入；已读取的继续送达，最多等 --grace，第二个信号不再等待。\
            然后 Pier 由该信号结束。输入还没有结束的话，对方看到的是重置。

            半双工时是一段对话，一行和它的回应轮流进行。send 和 receive 只使用一个方向，即单工。\
            端点的 ? 后面可以写这些参数：\(keys.joined(separator: "、"))，例如 ?ipv4=true。

            名字有几个地址时，每隔四分之一秒尝试下一个，使用最先应答的。数据报：每一行或每一段输入是一个数据报，\
            没有结束，只有沉默：见 --linger。?interface=名字 指明经哪个网络接口到组播组，?broadcast=true 允许广播地址。用 --retry 时，连接失败后会再试；连接成功之前不读取任何输入。

            exec:程序 参数 运行一个程序，另一端是它的标准输入和标准输出，不经过 shell；它以 0 以外的状态结束就算失败。\
            file:路径 是在文件末尾追加，用 --duplex receive 时是读取；也可以写明 ?mode=read、write 或 append。\
            fd:N 和 systemd:名字 是启动这个进程时交来的已连接的套接字，fd:N 也可以是任何流。

            --bytes 和 --until 针对收到的内容，达到之后也不再发送；--crlf 针对发送的内容。

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

    static let keys = JoinOptions.keys + ["timeout"] + Origin.keys

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to: HOST:PORT, :PORT on this machine, a path; udp://HOST:PORT for datagrams; exec:PROGRAM, file:PATH, fd:N, systemd:NAME.",
                "连接到哪里：HOST:PORT，:PORT 表示本机，或者路径；数据报写 udp://HOST:PORT；exec:程序、file:路径、fd:N、systemd:名字。"),
            valueName: text("endpoint", "端点")), completion: .file())
    var endpoint: String

    @Argument(
        help: ArgumentHelp(
            text(
                "The port, where the endpoint is a host alone, as nc and telnet take it and ssh's %h %p give it.",
                "端口，用于前面只写主机的时候：与 nc 和 telnet 的写法相同，也是 ssh 的 %h %p 给出的写法。"),
            valueName: text("port", "端口")))
    var port: String?

    @OptionGroup var joining: JoinOptions

    @Option(
        help: ArgumentHelp(
            text("How long each try to resolve and connect may take; or off.", "每次解析和连接最多用多长时间；或者写 off。")))
    var timeout = PositiveSpan(nil)

    @OptionGroup var retrying: RetryOptions

    @OptionGroup var origin: Origin

    func run() throws {
        let place = try parsedEndpoint(try endpoint.joined(toPort: port, keys: Self.keys), keys: Self.keys)
        let (source, family) = try origin.chosen(for: place)
        let rules = try joining.rules(for: place)
        try Client(
            to: place, from: source, family: family,
            timeout: try value(of: "timeout", in: place, else: timeout, PositiveSpan.hint).duration,
            trying: retrying.tries, rules
        ).run()
    }
}
