internal import ArgumentParser
internal import SocketCore
internal import Sockets

/// The flags of `connect` and `listen`: how standard input and output are joined to a peer.
struct JoinOptions: ParsableArguments {
    /// Those that an endpoint takes too.
    static let keys = ["duplex", "show", "bytes", "until", "crlf", "linger", "keep-alive"]

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

    @Option(
        help: ArgumentHelp(
            text(
                "Streams: end when so many bytes were received, and leave what comes after them. That fewer come is a failure.",
                "流：收到这么多字节就结束，之后的不再读取。不够就算失败。"),
            valueName: "n"))
    var bytes: ByteCount?

    @Option(
        help: ArgumentHelp(
            text(
                #"Streams: end when this text was received, and write nothing behind it; \n, \r, \t, \0, \xHH and \\ stand for one byte each. That it does not come is a failure."#,
                #"流：收到这段文字就结束，不写出它之后的内容；\n、\r、\t、\0、\xHH 和 \\ 各代表一个字节。没有收到就算失败。"#),
            valueName: "text"))
    var until: EscapedText?

    @Flag(
        help: ArgumentHelp(
            text(
                "Streams: send each line end of the input as CR LF, and in half duplex one behind each line. What is received stays as it is.",
                "流：把输入的每个行尾作为 CR LF 发送；半双工时每行后面加一个。收到的内容不变。")))
    var crlf = false

    @Option(
        help: ArgumentHelp(
            text(
                "The silence that ends it. Datagrams: of the peer, after the end of input or a question (default: 1s). Streams: of the input, after the peer has finished (default: no limit, or 1s where another client may follow).",
                "沉默多久就结束。数据报：输入结束或提问之后对方的沉默（默认：1s）。流：对方结束之后输入的沉默（默认：不限；后面还可能有别的客户端时是 1s）。")))
    var linger: TimeSpan?

    @Option(
        help: ArgumentHelp(
            text(
                "After how long a silence the peer's system is asked whether it is still there, over TCP; or off.",
                "沉默多久之后，询问对方的系统是否还在（TCP）；或者写 off。")))
    var keepAlive = PositiveSpan(.seconds(60))

    @Option(
        help: ArgumentHelp(
            text(
                "After the first signal, how long the peer may take to receive what was read; and how long a program may take to end after its output; or off.",
                "第一个信号之后，对方有多长时间来收下已读取的内容；程序在输出结束之后有多长时间来结束；或者写 off。")))
    var grace = TimeSpan(.seconds(5))

    @OptionGroup var reporting: Reporting

    /// The rules for an endpoint, as the flags or itself say; `answers` is `listen`.
    func rules(for place: Endpoint, answers: Bool = false) throws(Failure) -> JoinRules {
        let verb = answers ? "listen" : "connect"
        if place.place == .standardStreams {
            throw Failure(
                .usage,
                text(
                    "- is standard input and output, which pier \(verb) joins to something else: write HOST:PORT, a path or exec:PROGRAM",
                    "- 是标准输入和标准输出，pier \(verb) 要把它们与别的接在一起：请写 HOST:PORT、路径，或者 exec:程序"))
        }
        if case .descriptor(0...2) = place.place {
            throw Failure(
                .usage,
                text(
                    "\(place) is one of the standard streams, which pier \(verb) joins to something else: pass it on as fd:3",
                    "\(place) 是标准流之一，pier \(verb) 要把标准流与别的接在一起：请作为 fd:3 传入"))
        }
        let word = Bool.hint
        return try JoinRules(
            duplex: try value(of: "duplex", in: place, else: duplex, Duplex.hint),
            show: try value(of: "show", in: place, Show.hint) ?? show,
            stop: try goal(for: place).map { Stop($0) },
            sendsReturns: try value(of: "crlf", in: place, else: crlf, word),
            linger: (try value(of: "linger", in: place, TimeSpan.hint) ?? linger).map { $0.duration ?? .forEver },
            keepAlive: try value(of: "keep-alive", in: place, else: keepAlive, PositiveSpan.hint).duration,
            grace: grace.duration, answers: answers, report: Report(reporting.form, isTraced: reporting.trace)
        ).fitting(place)
    }

    /// Where receiving is to end by itself.
    private func goal(for place: Endpoint) throws(Failure) -> Stop.Goal? {
        let bytes = try value(of: "bytes", in: place, ByteCount.hint) ?? bytes
        let until = try value(of: "until", in: place, EscapedText.hint) ?? until
        if bytes != nil, until != nil {
            throw Failure(
                .usage,
                text(
                    "--bytes and --until exclude each other; leave one of them out",
                    "--bytes 和 --until 不能同时使用；请去掉其中一个"))
        }
        return bytes.map { .bytes($0.value) } ?? until.map { .text($0.bytes) }
    }
}
