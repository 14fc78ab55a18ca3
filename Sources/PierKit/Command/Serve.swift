internal import ArgumentParser
internal import Sockets

/// `pier serve SERVICE ENDPOINT…`
struct Serve: Verb {
    static let configuration = CommandConfiguration(
        abstract: text(
            "Serves a built-in service to any number of clients at once.", "同时向任意多个客户端提供一种内置服务。"),
        discussion: text(
            """
            Each message that comes is shown on standard output, with its client's address. Endpoints take the flags \
            \(keys.dropLast().joined(separator: ", ")) and \(keys.last ?? "") behind a ?.

            A listener's backlog limits how many clients may queue until they are accepted, not how many are served. The \
            first SIGINT or SIGTERM stops accepting and lets the clients finish; the second ends at once.

            The idle time counts from the last byte that a client sent, or took of what it is sent: each one starts it \
            anew. So it ends who is silent for that long, and not who is slow. With the idle time off, a client that has \
            vanished is found within two minutes, as the system asks whether it is still there.

            Shown messages are what this command has to say, so it ends with 1 when they cannot be written; with --show \
            none it writes nothing. What cannot be written to standard error is dropped and counted, and serving goes on.
            """,
            """
            收到的每条信息都连同客户端的地址显示在标准输出上。端点的 ? 后面可以写这些参数：\
            \(keys.joined(separator: "、"))。

            监听套接字的 backlog 限制的是等待被接受的客户端有多少，不是同时服务多少。第一个 SIGINT 或 SIGTERM \
            停止接受新的客户端，让已有的结束；第二个立即结束。

            空闲时间从客户端最后发来一个字节、或者读走一个字节算起，每个字节都重新开始：结束的是沉默那么久的，\
            不是慢的。空闲时间写 off 时，消失了的客户端两分钟内会被发现，因为系统会询问它是否还在。

            显示的信息是这个命令要说的话，所以写不出去时以 1 结束；--show none 什么都不写。写不到标准错误的内容\
            被丢弃并计数，服务继续。
            """))

    static let examples = [
        Example(
            "pier serve echo 127.0.0.5:8520",
            text("the tutorial's server, for every client at once", "教程里的服务端，同时服务所有人")),
        Example(
            "pier serve echo :8520 /run/echo.sock --show none",
            text("on every address and a Unix socket, showing nothing", "多个端点，不显示信息")),
    ]

    static let keys = ["backlog", "receive-size", "max-clients", "max-sessions", "idle-timeout", "show"]

    /// The services.
    enum ServiceName: String, CaseIterable, ExpressibleByArgument {
        case echo, discard, chargen, daytime

        var type: any Service.Type {
            switch self {
            case .echo: Echo.self
            case .discard: Discard.self
            case .chargen: Chargen.self
            case .daytime: Daytime.self
            }
        }
    }

    @Argument(
        help: ArgumentHelp(
            text(
                "What to serve: echo sends everything back (RFC 862), discard answers nothing (863), chargen sends characters without end (864), daytime tells the date and the time (867).",
                "提供什么服务：echo 把收到的都发回去（RFC 862），discard 只收不答（863），chargen 不停地发送字符（864），daytime 告诉日期和时间（867）。"),
            valueName: text("service", "服务")))
    var service: ServiceName

    @Argument(
        help: ArgumentHelp(
            text(
                "Where to listen: HOST:PORT, :PORT for every address, a path; udp://HOST:PORT for datagrams; port 0 is a free port.",
                "在哪里监听：HOST:PORT，:PORT 表示所有地址，或者路径；数据报写 udp://HOST:PORT；端口 0 表示任意一个空闲端口。"),
            valueName: text("endpoints", "端点")), completion: .file())
    var endpoints: [String]

    @Option(
        help: ArgumentHelp(
            text(
                "How to wait: one client at a time, a thread for each, a task for each on event loops, or a call for each message there (callbacks): no task or thread for a silent client. It is for very many; chargen and daytime, which do not wait for messages, are served as with tasks.",
                "怎样等待：一次一个客户端（阻塞），每个客户端一个线程，每个客户端一个事件循环上的任务，或者在事件循环上每条信息一次调用（callbacks）：沉默的客户端不占任务也不占线程，适合客户端极多的时候；chargen 和 daytime 不等待信息，和 tasks 一样。"
            )))
    var model = Model.tasks

    @Option(
        help: ArgumentHelp(
            text("How many event loops (default: one for each processor).", "有多少个事件循环（默认：每个处理器一个）。")))
    var loops: Count?

    @Option(help: ArgumentHelp(text("How many clients may queue until they are accepted.", "最多有多少客户端排队等待被接受。")))
    var backlog = Count(Listener.defaultBacklog)

    @Option(help: ArgumentHelp(Limits.bytesHelp))
    var receiveSize = Count(65536)

    @Option(help: ArgumentHelp(Limits.clientsHelp))
    var maxClients: Count?

    @Option(
        help: ArgumentHelp(
            text(
                "How long a client may be silent, or not read what it is sent, before it is closed; or off.",
                "客户端沉默或者不读取发给它的内容，多久之后被关闭；或者写 off。")))
    var idleTimeout = TimeSpan(.seconds(300))

    @Option(help: ArgumentHelp(Limits.sessionsHelp))
    var maxSessions = Count(10_000)

    @Flag(
        help: ArgumentHelp(
            text(
                "Answer datagrams of other machines too: echo and chargen answer only this one's, since a sender can be forged; never one from a port below 1024.",
                "也回应其他机器的数据报：发送者可以伪造，所以 echo 和 chargen 只回应本机的；从不回应低于 1024 的端口。")))
    var allowRemoteDatagrams = false

    @Option(help: ArgumentHelp(text("How messages are shown.", "怎样显示信息。")))
    var show = Show.text

    @OptionGroup var reporting: Reporting

    @Option(
        help: ArgumentHelp(
            text("How long clients may take to finish after the first signal.", "第一个信号之后，客户端有多长时间来结束。")))
    var grace = TimeSpan(.seconds(5))

    func run() throws {
        try Server(self).run()
    }

    /// What holds for the clients of one endpoint.
    struct Settings: Sendable {
        let endpoint: Endpoint
        let backlog: Int
        let receiveSize: Int
        let maxClients: Int
        let maxSessions: Int
        let idleTimeout: Duration?
        let allowsRemote: Bool
        let show: Show
    }

    /// The endpoints with their settings: the flags, or what an endpoint says otherwise.
    func settings() throws(Failure) -> [Settings] {
        var all: [Settings] = []
        for text in endpoints {
            let endpoint = try parsedEndpoint(text, keys: Self.keys)
            do throws(SocketError) {
                if endpoint.transport.carriesDatagrams {
                    try DatagramSocket.check(endpoint)
                } else {
                    try Listener.check(endpoint)
                }
            } catch {
                throw Failure(error)
            }
            all.append(
                Settings(
                    endpoint: endpoint,
                    backlog: try value(of: "backlog", in: endpoint, else: backlog, Count.hint).value,
                    receiveSize: min(
                        try value(of: "receive-size", in: endpoint, else: receiveSize, Count.hint).value,
                        Connection.largestReceive),
                    maxClients: try value(
                        of: "max-clients", in: endpoint, else: maxClients ?? defaultMaxClients, Count.hint
                    ).value,
                    maxSessions: try value(of: "max-sessions", in: endpoint, else: maxSessions, Count.hint).value,
                    idleTimeout: try value(of: "idle-timeout", in: endpoint, else: idleTimeout, TimeSpan.hint).duration,
                    allowsRemote: allowRemoteDatagrams,
                    show: try value(of: "show", in: endpoint, else: show, Show.hint)))
        }
        return all
    }

    private var defaultMaxClients: Count {
        Count(Limits.clients(model, endpoints: max(1, endpoints.count)))
    }
}
