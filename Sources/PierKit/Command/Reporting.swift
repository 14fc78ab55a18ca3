internal import ArgumentParser

/// The flags of all verbs that say what is told on standard error.
struct Reporting: ParsableArguments {
    /// The form of events.
    enum Events: String, CaseIterable, ExpressibleByArgument {
        case json
    }

    @Option(
        help: ArgumentHelp(
            text(
                "Tell everything that happens on standard error, one object a line, instead of prose.",
                "在标准错误上说出发生的一切，每行一个对象，代替平常的文字。")))
    var events: Events?

    @Flag(
        name: .shortAndLong,
        help: ArgumentHelp(
            text(
                "Tell on standard error of each connection, and the totals at the end.", "在标准错误上说出每个连接，最后说出合计。")))
    var verbose = false

    @Flag(
        help: ArgumentHelp(
            text(
                "Tell on standard error what each socket is and does, and each wait.",
                "在标准错误上说出每个套接字是什么、做什么，以及每次阻塞和它的疏通条件。")))
    var trace = false

    var form: Report.Form { events == .json ? .json : verbose ? .verbose : .prose }
}
