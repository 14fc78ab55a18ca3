internal import ArgumentParser

/// The flags of all verbs that say what is told on standard error.
struct Reporting: ParsableArguments {
    /// The form of events.
    enum Events: String, CaseIterable, ExpressibleByArgument {
        case json
    }

    @Option(help: "Tell everything that happens on standard error, one object a line, instead of prose.")
    var events: Events?

    @Flag(name: .shortAndLong, help: "Tell on standard error of each connection, and the totals at the end.")
    var verbose = false

    @Flag(help: "Tell on standard error what each socket is and does, and each wait.")
    var trace = false

    var form: Report.Form { events == .json ? .json : verbose ? .verbose : .prose }
}
