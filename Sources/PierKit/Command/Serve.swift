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
            first SIGINT, SIGTERM or SIGHUP stops accepting and lets the clients finish; the second ends at once. A client \
            that is ended then, by the idle time or by a failure of its service sees a reset over TCP. A Unix socket has no \
            reset.

            The idle time counts from the last byte that a client sent, or took of what it is sent: each one starts it \
            anew. So it ends who is silent for that long, and not who is slow. With the idle time off, a client that has \
            vanished is found within two minutes, as the system asks whether it is still there.

            What nobody connects to, as - for standard input and output, exec:PROGRAM, file:PATH and an fd:N that does not \
            listen, is one client that is there already; when all that are served are such, the command ends with the last. \
            So a super-server runs it for each client: pier serve echo -.

            Shown messages are what this command has to say, so it ends with 1 when they cannot be written; with --show \
            none it writes nothing. What cannot be written to standard error is dropped and counted, and serving goes on.
            """,
            """
            收到的每条信息都连同客户端的地址显示在标准输出上。端点的 ? 后面可以写这些参数：\
            \(keys.joined(separator: "、"))。

            监听套接字的 backlog 限制的是等待被接受的客户端有多少，不是同时服务多少。第一个 SIGINT、SIGTERM 或 SIGHUP \
            停止接受新的客户端，让已有的结束；第二个立即结束。这时被中断的、因空闲时间或服务出错而被中断的客户端，\
            在 TCP 上看到的是重置。Unix 套接字没有重置。

            空闲时间从客户端最后发来一个字节、或者读走一个字节算起，每个字节都重新开始：结束的是沉默那么久的，\
            不是慢的。空闲时间写 off 时，消失了的客户端两分钟内会被发现，因为系统会询问它是否还在。

            没有人可以连接的，例如表示标准输入和标准输出的 -、exec:程序、file:路径和不在监听的 fd:编号，本身就是一个已经\
            存在的客户端；只有这样的客户端时，命令随最后一个一起结束。所以超级服务器可以为每个客户端运行：pier serve echo -。

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
                "Where to listen: HOST:PORT, :PORT for every address, a path; udp://HOST:PORT for datagrams; port 0 is a free port; systemd:NAME and fd:N, sockets that were passed on; or what is one client itself: -, exec:PROGRAM, file:PATH, an fd:N that does not listen.",
                "在哪里监听：HOST:PORT，:PORT 表示所有地址，或者路径；数据报写 udp://HOST:PORT；端口 0 表示任意一个空闲端口；systemd:名字和 fd:编号，交来的套接字；或者它本身就是一个客户端：-、exec:程序、file:路径、不在监听的 fd:编号。"
            ),
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

    @OptionGroup var queue: QueueOptions

    @Option(help: ArgumentHelp(Limits.bytesHelp))
    var receiveSize = Count(65536)

    @Option(help: ArgumentHelp(Limits.clientsHelp))
    var maxClients: Count?

    @Option(
        help: ArgumentHelp(
            text(
                "How long a client may be silent, or not read what it is sent, before it is closed; or off.",
                "客户端沉默或者不读取发给它的内容，多久之后被关闭；或者写 off。")))
    var idleTimeout = PositiveSpan(.seconds(300))

    @Option(help: ArgumentHelp(Limits.sessionsHelp))
    var maxSessions = Count(10_000)

    @Flag(
        help: ArgumentHelp(
            text(
                "Answer datagrams of other machines too: echo and chargen answer only this one's, since a sender can be forged; never one from a port below 1024.",
                "也回应其他机器的数据报：发送者可以伪造，所以 echo 和 chargen 只回应本机的；从不回应低于 1024 的端口。")))
    var allowRemoteDatagrams = false

    @Option(
        help: ArgumentHelp(
            text(
                "How messages are shown (default: text; none where standard output is a client's).",
                "怎样显示信息（默认：text；标准输出属于客户端时是 none）。")))
    var show: Show?

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
        /// Whether it is datagrams that come there.
        let isDatagrams: Bool
        /// Nil is the default, or what a socket that was passed on has.
        let backlog: Int?
        let receiveSize: Int
        let maxClients: Int
        let maxSessions: Int
        let idleTimeout: Duration?
        let allowsRemote: Bool
        let show: Show
        /// What a file is opened for that is a client: what the service has any use for.
        let fileAccess: FileAccess
    }

    /// The endpoints with their settings: the flags, or what an endpoint says otherwise.
    func settings() throws(Failure) -> [Settings] {
        var all: [Settings] = []
        let places = try endpoints.map { (text) throws(Failure) in try parsedEndpoint(text, keys: Self.keys) }
        try checkOnceOnly(places)
        let isOutputFree = !places.contains { $0.place == .standardStreams || $0.place == .descriptor(1) }
        for endpoint in places {
            let isDatagrams = try check(endpoint)
            let show = try value(of: "show", in: endpoint, else: self.show ?? (isOutputFree ? .text : .none), Show.hint)
            if !isOutputFree, show != .none { throw Self.outputIsTaken }
            all.append(
                Settings(
                    endpoint: endpoint, isDatagrams: isDatagrams,
                    backlog: try queue.length(of: endpoint),
                    receiveSize: min(
                        try value(of: "receive-size", in: endpoint, else: receiveSize, Count.hint).value,
                        Connection.largestReceive),
                    maxClients: try value(
                        of: "max-clients", in: endpoint, else: maxClients ?? defaultMaxClients, Count.hint
                    ).value,
                    maxSessions: try value(of: "max-sessions", in: endpoint, else: maxSessions, Count.hint).value,
                    idleTimeout: try value(of: "idle-timeout", in: endpoint, else: idleTimeout, PositiveSpan.hint)
                        .duration,
                    allowsRemote: allowRemoteDatagrams,
                    show: show, fileAccess: fileAccess))
        }
        return all
    }

    private var fileAccess: FileAccess { service == .discard ? .read : .append }

    /// Throws where it cannot be served; else whether it is datagrams that come there.
    private func check(_ endpoint: Endpoint) throws(Failure) -> Bool {
        try checkForListening(endpoint)
        let isDatagrams = try namesDatagrams(endpoint)
        guard endpoint.transport == .file else { return isDatagrams }
        let mode = try value(of: "mode", in: endpoint, else: fileAccess, FileAccess.hint)
        // A file is read or written; who only reads answers nothing, who only writes asks nothing.
        guard service == .echo || (service == .discard) != (mode == .read) else { return isDatagrams }
        throw Failure(
            .usage,
            text(
                "\(endpoint): \(service.rawValue) has no use for it: discard reads a file, chargen and daytime write one (?mode=append or write), and for echo there is exec:cat",
                "\(endpoint)：\(service.rawValue) 用不上它：discard 读取文件，chargen 和 daytime 写入文件（?mode=append 或 write），echo 可以用 exec:cat"
            ))
    }

    private static let outputIsTaken = Failure(
        .usage,
        text(
            "standard output is a client's, so messages cannot be shown there: leave --show out, or write --show none",
            "标准输出属于客户端，不能在那里显示信息：请去掉 --show，或者写 --show none"))

    private var defaultMaxClients: Count {
        Count(Limits.clients(model, endpoints: max(1, endpoints.count)))
    }
}
