internal import ArgumentParser
internal import Sockets

/// `pier serve SERVICE ENDPOINT…`
struct Serve: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Serves a built-in service to any number of clients at once.",
        discussion: """
            Each message that comes is shown on standard output, with its client's address. Endpoints take the flags \
            backlog, receive-size, max-clients, idle-timeout and show behind a ?.

            A listener's backlog limits how many clients may queue until they are accepted, not how many are served. The \
            first SIGINT or SIGTERM stops accepting and lets the clients finish; the second ends at once.
            """)

    static let examples = [
        "pier serve echo 127.0.0.5:8520                 the tutorial's server, for every client at once",
        "pier serve echo :8520 /run/echo.sock --show none   on every address and a Unix socket, showing nothing",
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
        help:
            "What to serve: echo sends everything back (RFC 862), discard answers nothing (863), chargen sends characters without end (864), daytime the date and time (867)."
    )
    var service: ServiceName

    @Argument(help: "Where to listen: HOST:PORT, :PORT for every address, a path; port 0 is a free port.")
    var endpoints: [String]

    @Option(help: "How to wait: one client at a time, a thread for each, or a task for each on event loops.")
    var model = Model.tasks

    @Option(help: "How many event loops (default: one for each processor).")
    var loops: Count?

    @Option(help: "How many clients may queue until they are accepted.")
    var backlog = Count(Listener.defaultBacklog)

    @Option(help: "How many bytes one message has at the most, and so what is held for a client.")
    var receiveSize = Count(65536)

    @Option(
        help:
            "How many clients are served at once; more queue (default: what the limit on open files allows; at most 1000 with threads)."
    )
    var maxClients: Count?

    @Option(help: "How long a client may be silent, or not read what it is sent, before it is closed; or off.")
    var idleTimeout = TimeSpan(.seconds(300))

    @Option(
        help:
            "How many senders of datagrams are known at once; at the limit the one that has been silent for longest is forgotten."
    )
    var maxSessions = Count(10_000)

    @Flag(
        help:
            "Answer datagrams of other machines too: echo and chargen answer only this one's, since a sender can be forged; never one from a port below 1024."
    )
    var allowRemoteDatagrams = false

    @Option(help: "How messages are shown.")
    var show = Show.text

    @OptionGroup var reporting: Reporting

    @Option(help: "How long clients may take to finish after the first signal.")
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

    /// As many as there are descriptors for, less some for the process itself; a thread needs a second one to be woken by.
    private var defaultMaxClients: Count {
        let free = max(1, (Standard.descriptorLimit - 64) / max(1, endpoints.count))
        return Count(model == .threads ? max(1, min(1000 / max(1, endpoints.count), free / 2)) : free)
    }
}
