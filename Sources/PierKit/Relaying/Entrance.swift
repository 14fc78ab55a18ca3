internal import Sockets

/// Where the clients of a relay come in.
enum Entrance: Sendable {
    /// Any number of them connect.
    case listener(Listener, RelayVerb.Settings)
    /// There is one, from the start. Its end is the entrance's.
    case client(OpenedStream, RelayVerb.Settings)

    /// Opens what an endpoint names; the service manager may have passed on several sockets under one name.
    static func open(
        _ settings: RelayVerb.Settings, keepAlive: Duration?, _ trace: Trace?
    ) throws(SocketError) -> [Entrance] {
        guard try Listener.isNamed(by: settings.endpoint) else {
            let stream = try Connection.open(settings.endpoint, file: .read, trace: trace)
            try? stream.connection.setKeepAlive(after: keepAlive)
            return [.client(stream, settings)]
        }
        // What was inherited has its backlog from who made it, unless its endpoint says otherwise.
        let backlog = settings.endpoint.transport.hasAddresses ? settings.backlog : nil
        return try Listener.open(settings.endpoint, backlog: backlog, trace: trace).map {
            (listener) throws(SocketError) in
            try listener.setKeepAlive(after: keepAlive)
            return .listener(listener, settings)
        }
    }

    /// The listener, where clients connect.
    var listener: Listener? {
        if case .listener(let listener, _) = self { listener } else { nil }
    }

    /// Lets nobody else in. A client that was there from the start has said all that it will.
    func stop() {
        switch self {
        case .listener(let listener, _): listener.close()
        case .client(let stream, _): try? stream.connection.stopReceiving()
        }
    }

    /// Closes it where nobody is joined. Blocks the thread until a program has ended.
    func close() {
        switch self {
        case .listener(let listener, _): listener.close()
        case .client(let stream, _): _ = try? stream.finish(within: .zero)
        }
    }
}

extension Listener {
    /// How bytes go there.
    var transport: Endpoint.Transport {
        if case .unix = address { .unix } else { .tcp }
    }
}
