internal import ArgumentParser
internal import Sockets

/// `pier connect ENDPOINT`
struct Connect: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Joins standard input and output to an endpoint.",
        discussion: """
            In full duplex, what comes from standard input is sent and what is received is written to standard output, both \
            at once and as it is; on a terminal it is escaped. At the end of input the sending direction is finished, and \
            receiving goes on until the peer has finished too.

            In half duplex it is a dialogue, a line and its reply in turn. In send and receive only one direction is used. \
            The endpoint takes the flags duplex, show, timeout and linger behind a ?.
            """)

    static let examples = [
        "pier connect 127.0.0.5:8520 --duplex half      the tutorial's client: a line, its reply, and again",
        "pier connect localhost:8520 < question > answer   sends a file, and keeps all that comes back",
    ]

    static let keys = ["duplex", "show", "timeout", "linger"]

    @Argument(help: "Where to: HOST:PORT, :PORT on this machine, a path.")
    var endpoint: String

    @Option(help: "Who may speak when.")
    var duplex = Duplex.full

    @Option(help: "How what is received is shown (default: as it is; on a terminal and in half duplex, text).")
    var show: Show?

    @OptionGroup var reporting: Reporting

    @Option(help: "How long resolving and connecting may take; or off.")
    var timeout = TimeSpan(nil)

    @Option(
        help:
            "Datagrams: how long to wait for an answer, after the end of input and in half duplex, before there is none."
    )
    var linger = TimeSpan(.seconds(1))

    @Option(help: "How long the peer may take to finish after the first signal.")
    var grace = TimeSpan(.seconds(5))

    func run() throws {
        let place = try parsedEndpoint(endpoint, keys: Self.keys)
        let show: Show? =
            if place["show"] != nil { try value(of: "show", in: place, else: .text, Show.hint) } else { self.show }
        try Client(
            endpoint: place, duplex: try value(of: "duplex", in: place, else: duplex, Duplex.hint), show: show,
            timeout: try value(of: "timeout", in: place, else: timeout, TimeSpan.hint).duration,
            linger: try value(of: "linger", in: place, else: linger, TimeSpan.hint).duration ?? .seconds(1 << 30),
            grace: grace.duration, report: Report(reporting.form, isTraced: reporting.trace)
        ).run()
    }
}
