internal import ArgumentParser
internal import SocketCore

/// How many clients may wait to be accepted: the flag of all verbs that listen.
struct QueueOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            text(
                "How many clients may queue until they are accepted (default: 4096, or what a socket that was passed on has).",
                "最多有多少客户端排队等待被接受（默认 4096，交来的套接字保持原样）。")))
    var backlog: Count?

    /// What holds for an endpoint; nil where nothing says so.
    func length(of endpoint: Endpoint) throws(Failure) -> Int? {
        let own: Count? = try value(of: "backlog", in: endpoint, Count.hint)
        return (own ?? backlog)?.value
    }
}
