internal import SocketCore
internal import Sockets

/// Where the clients of a relay come in.
enum Entrance: Sendable {
    /// Any number of them connect.
    case listener(Listener, RelayVerb.Settings)
    /// There is one, from the start. Its end is the entrance's.
    case client(OpenedStream, RelayVerb.Settings)
    /// Any number of them send datagrams.
    case senders(DatagramSocket, RelayVerb.Settings)

    /// Opens what an endpoint names; the service manager may have passed on several sockets under one name.
    static func open(
        _ settings: RelayVerb.Settings, keepAlive: Duration?, _ trace: Trace?
    ) throws(SocketError) -> [Entrance] {
        if settings.isDatagrams {
            return try DatagramSocket.open(settings.endpoint, trace: trace).map { .senders($0, settings) }
        }
        guard try Listener.isNamed(by: settings.endpoint) else {
            let stream = try Connection.open(settings.endpoint, file: .read, trace: trace).forGood(settings.endpoint)
            try? stream.connection.setKeepAlive(after: keepAlive)
            return [.client(stream, settings)]
        }
        return try Listener.open(settings.endpoint, backlog: settings.backlog, trace: trace).map {
            (listener) throws(SocketError) in
            try listener.setKeepAlive(after: keepAlive)
            return .listener(listener, settings)
        }
    }

    /// Whether anybody may still come.
    var isListening: Bool {
        switch self {
        case .listener(let listener, _): !listener.isClosed
        case .client: false
        case .senders(let socket, _): !socket.isClosed
        }
    }

    /// Lets nobody else in. Who is in stays for as long as he likes.
    func stopListening() {
        switch self {
        case .listener(let listener, _): listener.close()
        case .client: break
        case .senders(let socket, let settings):
            socket.finishServing(afterSilence: settings.idleTimeout ?? .forEver)
        }
    }

    /// Where clients come to, if they do.
    var endpoint: Endpoint? {
        switch self {
        case .listener(let listener, _): listener.endpoint
        case .client: nil
        case .senders(let socket, _): socket.endpoint
        }
    }

    /// Accepts no further client, and reads no more of one that was there from the start. With `lone` that is the only one.
    func stop(_ lone: LoneRelay?) {
        switch self {
        case .listener(let listener, _): listener.close()
        case .client(let stream, _):
            if let lone { lone.stop(stream) } else { try? stream.connection.stopReceiving() }
        case .senders(let socket, let settings): socket.finishServing(afterSilence: settings.linger)
        }
    }

    /// Closes it where nobody is joined. Blocks the thread until a program has ended.
    func close() {
        switch self {
        case .listener(let listener, _): listener.close()
        case .client(let stream, _): _ = try? stream.finish(within: .zero)
        case .senders(let socket, _): socket.close()
        }
    }
}
