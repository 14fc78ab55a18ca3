internal import ArgumentParser
internal import SocketCore
internal import Sockets

/// `pier relay LISTEN TARGET…`
struct RelayVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: text(
            "Joins every client of one endpoint to a connection of its own to another.",
            "把一个端点的每个客户端接到通往另一个端点的连接上，每个客户端一个。"),
        discussion: text(
            """
            What comes from either side is sent on to the other. Each direction ends by itself: the end of one is passed on, \
            and the other goes on. A reset is passed on as a reset, once all that came before it has arrived.

            With several targets each client gets the next one in turn, and where that refuses, the one after it. When none \
            takes it they are tried again as --retry says; until then nothing of what the client sends is lost.

            Either side may be any stream: an address, exec:PROGRAM, file:PATH, fd:N, systemd:NAME, or - for standard input \
            and output. Each client gets a program of its own, which finds the client's address, if it has one, in PIER_PEER_ADDRESS, and is \
            ended with it. A target's file is appended to, unless it says ?mode=read or write; with read each client is sent \
            what it holds. As targets -, fd: and systemd: are there for one client: when it has come nobody listens any more, \
            and the command ends with it. A datagram socket that is passed on as a target must be connected.

            Where nobody can connect, as with -, exec:, file: (which is read) and an fd: that does not listen, LISTEN is one \
            client, and the command ends with it. A file that is read takes no answers; they are dropped. Endpoints to \
            listen on take the flags \(listenKeys.joined(separator: ", ")) behind a ?, targets \(targetKeys.joined(separator: ", ")).

            Every sender of datagrams (udp://, unix-dgram:, or a datagram socket by fd: or systemd:) has a session with a \
            socket of its own to the target, until both have been silent for --idle-timeout. Where streams meet datagrams, \
            --frame says how these stand in a stream. What is lost is counted and ends nothing: a target that is not there, a \
            datagram that is too long for it.

            As the target of datagrams, file:PATH and - (and an fd:N that is no socket) take those of all senders: each whole, in \
            the order of arrival, and nothing is sent back; standard input is not read. When such an output is full or its \
            reader has gone, the command fails. With exec:PROGRAM each sender has a program of its own, and what it prints \
            goes back to that sender; for one program in all write pier relay udp://HOST:PORT - | PROGRAM. A program that ends badly is \
            told; the sender's next datagram starts it again.

            A client that does not read delays no other, and is held back itself: see --receive-size. The first SIGINT, \
            SIGTERM or SIGHUP stops accepting and lets what is under way finish; the second ends at once. Where LISTEN is \
            one client itself, a signal ends the command as it ends connect: what was read is delivered, and the target \
            sees a reset unless the input had ended.
            """,
            """
            任何一边来的内容都发给另一边。每个方向自己结束：一边的结束会传给另一边，而另一个方向继续进行。\
            重置也会作为重置传过去，不过要等之前的内容都送到。

            有几个目标时，客户端轮流使用；拒绝的就换下一个。都不接受时按 --retry 再试；在那之前，客户端发送的内容不会丢失。

            两边都可以是任何字节流：地址、exec:程序、file:路径、fd:编号、systemd:名字，或者表示标准输入和标准输出的 -。\
            每个客户端有自己的程序，程序从 PIER_PEER_ADDRESS 得知客户端的地址（如果有），并随它一起结束。作为目标的文件被追加，\
            除非写了 ?mode=read 或 write；写 read 时把文件的内容发给每个客户端。-、fd: 和 systemd: 作为目标只供一个客户端使用：\
            它来了之后就不再监听，命令随它一起结束。交来的数据报套接字作为目标，必须是已连接的。

            没有人可以连接的时候，也就是 -、exec:、file:（读取它）和不在监听的 fd:，“监听”本身就是一个客户端，\
            命令随它一起结束。被读取的文件不接受回应，回应被丢弃。监听的端点的 ? 后面可以写这些参数：\(listenKeys.joined(separator: "、"))；目标：\(targetKeys.joined(separator: "、"))。

            数据报（udp://、unix-dgram:，或者 fd:、systemd: 交来的数据报套接字）的每个发送者都有一个会话，\
            会话有自己的套接字通往目标，直到双方沉默了 --idle-timeout 那么久。字节流遇到数据报时，--frame \
            说明数据报在字节流里怎样分界。丢失的只计数，不结束什么：目标不在，或者数据报对它来说太长。

            作为数据报的目标，file:路径 和 -（以及不是套接字的 fd:编号）接受所有发送者的数据报：每个都完整，\
            按到达的顺序，什么也不发回；不读取标准输入。这样的输出满了，或者没有人再读取它，命令就失败。\
            用 exec:程序 时，每个发送者有自己的程序，程序的输出发回给那个发送者；要所有发送者共用一个程序，\
            请写 pier relay udp://HOST:PORT - | 程序。程序出错结束时会说出来；发送者的下一个数据报再次启动它。

            不读取的客户端不会拖慢别人，只会挡住自己：见 --receive-size。第一个 SIGINT、SIGTERM 或 SIGHUP \
            停止接受新的客户端，让正在进行的结束；第二个立即结束。“监听”本身就是一个客户端时，信号的作用与 connect 相同：\
            已读取的送达，输入还没有结束的话，目标看到的是重置。
            """))

    static let examples = [
        Example(
            "pier relay :8080 127.0.0.1:80",
            text("a port of this machine, reached by another", "把本机的一个端口转到另一个")),
        Example(
            "pier relay /run/app.sock db1:5432 db2:5432 --retry forever",
            text("a Unix socket in front of two servers, in turn", "一个 Unix 套接字，后面轮流使用两台服务器")),
        Example(
            "pier relay udp://127.0.0.5:8520 127.0.0.1:53 --frame length",
            text("DNS: datagrams here, a stream there", "DNS：这边是数据报，那边是字节流")),
        Example(
            "pier relay udp://127.0.0.5:5140 file:/tmp/log --frame lines",
            text("each datagram of any sender a line of one file", "任何发送者的每个数据报都是一个文件的一行")),
    ]

    static let listenKeys = ["backlog", "receive-size", "max-clients", "max-sessions", "idle-timeout", "linger"]
    static let targetKeys = ["timeout"] + Origin.keys

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to listen: HOST:PORT, :PORT for every address, a path, udp://HOST:PORT, unix-dgram:PATH, systemd:NAME, fd:N; port 0 is a free port. Or what is one client itself: -, exec:PROGRAM, file:PATH, and a connected fd:N or systemd:NAME.",
                "在哪里监听：HOST:PORT，:PORT 表示所有地址，路径，udp://HOST:PORT，unix-dgram:路径，systemd:名字，fd:编号；端口 0 表示任意一个空闲端口。或者它本身就是一个客户端：-、exec:程序、file:路径，以及已连接的 fd:编号 或 systemd:名字。"
            ),
            valueName: text("listen", "监听")), completion: .file())
    var listen: String

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to: HOST:PORT, :PORT on this machine, a path, udp://HOST:PORT, unix-dgram:PATH, exec:PROGRAM, file:PATH, fd:N, systemd:NAME or -; several are used in turn.",
                "连接到哪里：HOST:PORT，:PORT 表示本机，路径，udp://HOST:PORT，unix-dgram:路径，exec:程序，file:路径，fd:编号，systemd:名字，或者 -；有几个就轮流使用。"
            ),
            valueName: text("targets", "目标")), completion: .file())
    var targets: [String]

    @Option(help: ArgumentHelp(text("Another endpoint to listen on; may be repeated.", "另一个监听的端点；可以写多次。")))
    var also: [String] = []

    @Option(
        help: ArgumentHelp(
            text("How many event loops (default: one for each processor).", "有多少个事件循环（默认：每个处理器一个）。")))
    var loops: Count?

    @OptionGroup var queue: QueueOptions

    @Option(
        help: ArgumentHelp(
            text(
                "How many bytes are received at once, at most 1 MiB. A side that does not read holds at the most so many of each direction, besides the kernel's buffers, and about 5 KB for both connections and their tasks.",
                "一次最多接收多少字节，不超过 1 MiB。不读取的一边在每个方向最多占用这么多，此外是内核的缓冲区，以及两个连接和它们的任务约 5 KB。")))
    var receiveSize = Count(65536)

    @Option(help: ArgumentHelp(Limits.relayedHelp))
    var maxClients: Count?

    @Option(
        help: ArgumentHelp(
            text(
                "How long both directions may be silent before the client and its target are reset, or a session of datagrams ends (at the latest after twice that); or off (default: off for who connects, 1m for a sender of datagrams, who has no end).",
                "两个方向都沉默多久之后，重置客户端和它的目标，或者结束数据报的会话（最迟两倍的时间）；或者写 off（默认：连接来的客户端是 off，数据报的发送者没有结束，所以是 1m）。")))
    var idleTimeout: PositiveSpan?

    @Option(help: ArgumentHelp(Limits.relayedSessionsHelp))
    var maxSessions: Count?

    @Option(
        help: ArgumentHelp(
            text(
                "How datagrams stand in a stream, where one side has streams and the other datagrams: lines (each a line), length (two bytes before each say how long it is, as in DNS over TCP), none (as they come; what is read at once is one datagram) (default: none with -, exec:, file: and a pipe; with tcp:// and unix: it must be said).",
                "一边是字节流、另一边是数据报时，数据报在字节流里怎样分界：lines（每个一行），length（每个前面两个字节是长度，如同 TCP 上的 DNS），none（来什么发什么；一次读到的就是一个数据报）（默认：用 -、exec:、file: 和管道时是 none；用 tcp:// 和 unix: 时必须写明）。"
            )))
    var frame: Framing?

    @Option(
        help: ArgumentHelp(
            text(
                "With datagrams: how long answers are waited for behind the last of them, when the client has finished or the first signal has come; off is without end.",
                "用数据报时：客户端结束或者第一个信号之后，最后一个回应之后还等多久；off 是一直等。")))
    var linger = TimeSpan(.seconds(1))

    @Option(
        help: ArgumentHelp(
            text(
                "How long resolving a target and connecting to it may take; or off.", "解析目标并连接它最多用多长时间；或者写 off。")))
    var timeout = TimeSpan(.seconds(10))

    @OptionGroup var retrying: RetryOptions

    @Option(
        help: ArgumentHelp(
            text(
                "After how long a silence either side's system is asked whether it is still there, over TCP; or off.",
                "沉默多久之后，询问任何一边的系统是否还在（TCP）；或者写 off。")))
    var keepAlive = PositiveSpan(.seconds(60))

    @OptionGroup var reporting: Reporting

    @Option(
        help: ArgumentHelp(
            text("How long clients may take to finish after the first signal.", "第一个信号之后，客户端有多长时间来结束。")))
    var grace = TimeSpan(.seconds(5))

    @OptionGroup var origin: Origin

    func run() throws {
        try RelayServer(self).run()
    }

    /// What holds for the clients of one endpoint.
    struct Settings: Sendable {
        let endpoint: Endpoint
        /// Whether it is datagrams that come there.
        let isDatagrams: Bool
        /// Nil is the default, or what a socket that was passed on has.
        let backlog: Int?
        let receiveSize: Int
        let maxClients: Int
        let maxSessions: Int
        let idleTimeout: Duration?
        let linger: Duration
    }

    /// Both sides, as the flags or the endpoints themselves say. To be asked before this process opens anything.
    func sides() throws(Failure) -> (entrances: [Settings], targets: [Destination]) {
        let front = try ([listen] + also).map { (words) throws(Failure) in
            try parsedEndpoint(words, keys: Self.listenKeys)
        }
        let behind = try targets.map { (words) throws(Failure) in try parsedEndpoint(words, keys: Self.targetKeys) }
        for endpoint in front + behind {
            _ = try value(of: "mode", in: endpoint, else: FileAccess.append, FileAccess.hint)
        }
        for endpoint in front { try checkForListening(endpoint) }
        try checkOnceOnly(front + behind)
        return (try settings(front, to: behind), try destinations(behind))
    }

    private func settings(_ front: [Endpoint], to behind: [Endpoint]) throws(Failure) -> [Settings] {
        let most = Count(Limits.relayed(endpoints: front.count, to: behind))
        let mostSessions = Count(Limits.relayedSessions(endpoints: front.count, to: behind))
        var all: [Settings] = []
        for endpoint in front {
            let isDatagrams = try namesDatagrams(endpoint)
            all.append(
                Settings(
                    endpoint: endpoint, isDatagrams: isDatagrams,
                    backlog: try queue.length(of: endpoint),
                    receiveSize: min(
                        try value(of: "receive-size", in: endpoint, else: receiveSize, Count.hint).value,
                        Connection.largestReceive),
                    maxClients: try value(of: "max-clients", in: endpoint, else: maxClients ?? most, Count.hint).value,
                    maxSessions: try value(
                        of: "max-sessions", in: endpoint, else: maxSessions ?? mostSessions, Count.hint
                    ).value,
                    idleTimeout: try value(
                        of: "idle-timeout", in: endpoint,
                        else: idleTimeout ?? PositiveSpan(isDatagrams ? .seconds(60) : nil), PositiveSpan.hint
                    ).duration,
                    linger: try value(of: "linger", in: endpoint, else: linger, TimeSpan.hint).duration ?? .forEver)
            )
        }
        return all
    }

    private func destinations(_ behind: [Endpoint]) throws(Failure) -> [Destination] {
        var all: [Destination] = []
        for endpoint in behind {
            let (source, family) = try origin.chosen(for: endpoint)
            let limit = try value(of: "timeout", in: endpoint, else: timeout, TimeSpan.hint).duration
            all.append(
                Destination(
                    endpoint, isDatagrams: try namesDatagrams(endpoint), source: source, family: family, timeout: limit)
            )
        }
        return all
    }
}
