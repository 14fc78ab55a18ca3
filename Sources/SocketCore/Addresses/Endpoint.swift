/// An end of a conversation as a person writes it: `tcp://127.0.0.5:8520`, `localhost:8520`, `:8520`, `/run/a.sock`.
///
/// The grammar is `[scheme://]place[?key=value&…]`. What is no socket's address has a colon alone behind its scheme:
/// `exec:COMMAND`, `file:PATH`, `fd:3`, `systemd:NAME`; and `-` is standard input and output. Whether it is listened on or connected to is said by the verb, never
/// by the endpoint. An endpoint prints so that it parses back.
public struct Endpoint: Hashable, Sendable {
    /// How bytes go there.
    public enum Transport: String, Sendable, CaseIterable {
        /// A stream over IPv4 or IPv6 (`tcp(7)`).
        case tcp
        /// Datagrams over IPv4 or IPv6 (`udp(7)`).
        case udp
        /// A stream between programs of one machine (`unix(7)`).
        case unix
        /// Datagrams between programs of one machine (`unix(7)`).
        case unixDatagram = "unix-dgram"
        /// The standard input and output of a program, which is run for it.
        case program = "exec"
        /// What is read from a file, or written to it.
        case file
        /// A descriptor that this process was started with.
        case descriptor = "fd"
        /// A socket that the service manager has opened (`sd_listen_fds(3)`).
        case inherited = "systemd"

        /// Whether its places are paths and abstract names.
        var isUnix: Bool { self == .unix || self == .unixDatagram }

        /// Whether messages keep their borders there, and there are no connections.
        public var carriesDatagrams: Bool { self == .udp || self == .unixDatagram }

        /// Whether its places are addresses of sockets.
        public var hasAddresses: Bool {
            switch self {
            case .tcp, .udp, .unix, .unixDatagram: true
            case .program, .file, .descriptor, .inherited: false
            }
        }
    }

    /// Where.
    public enum Place: Hashable, Sendable {
        /// An address that needs no resolving.
        case address(SocketAddress)
        /// A host's name, which resolves to one or more addresses, and a port.
        case name(String, port: UInt16)
        /// A port alone: this machine when connecting, every address of this machine when listening.
        case port(UInt16)
        /// Standard input and output, written `-`.
        case standardStreams
        /// A program with its arguments.
        case program(Command)
        /// A file of any kind.
        case file(Path)
        /// A descriptor's number.
        case descriptor(CInt)
        /// The sockets of a name that the service manager gave them, or all that it has passed on.
        case inherited(name: String?)
    }

    /// A `key=value` behind the `?`; every key is the name of a flag of the command.
    public struct Parameter: Hashable, Sendable {
        /// The key, one of those that the parser was told.
        public let key: String
        /// The value, its `%XX` undone.
        public let value: String
    }

    /// How bytes go there.
    public let transport: Transport
    /// Where.
    public let place: Place
    /// What stands behind the `?`, in order.
    public let parameters: [Parameter]

    /// The keys that the library itself understands; the command's verbs have more.
    public static let keys = ["backlog", "duplex"]
    /// Those that a file's endpoint has besides, whatever else is taken.
    static let fileKeys = ["mode"]
    /// Those that a UDP endpoint has besides.
    static let udpKeys = ["interface", "broadcast"]

    init(_ transport: Transport, _ place: Place, parameters: [Parameter]) {
        self.transport = transport
        self.place = place
        self.parameters = parameters
    }

    /// Reads an endpoint, strictly.
    ///
    /// Throws `EndpointError`, which says what is wrong, where, and what would be right.
    public init(_ text: String) throws(EndpointError) {
        try self.init(text, keys: Endpoint.keys)
    }

    /// The same with other keys allowed behind the `?`.
    public init(_ text: String, keys: [String]) throws(EndpointError) {
        var parser = EndpointParser(text, keys: keys)
        (transport, place, parameters) = try parser.parseEndpoint()
    }

    /// The value of a parameter, if it is there.
    public subscript(key: String) -> Parameter? {
        parameters.first { $0.key == key }
    }
}

extension Endpoint: CustomStringConvertible {
    /// The endpoint with its scheme, as it parses back.
    public var description: String {
        var text: String
        switch place {
        case .standardStreams: text = "-"
        case .port(let port): text = "\(transport.rawValue)://:\(port)"
        case .name(let name, let port): text = "\(transport.rawValue)://\(name):\(port)"
        case .address(let address): text = address.described(for: transport)
        // A `?` is a character of the command like any other, so no parameter stands behind it.
        case .program(let command): text = "\(transport.rawValue):\(command)"
        case .file(let path): text = "\(transport.rawValue):\(path.isAbsolute ? "//" : "")\(path)"
        case .descriptor(let number): text = "\(transport.rawValue):\(number)"
        case .inherited(let name):
            text = "\(transport.rawValue):\(percentEscaped(Array((name ?? "").utf8)[...]))"
        }
        for (index, parameter) in parameters.enumerated() {
            let value = percentEscaped(Array(parameter.value.utf8)[...])
            text += "\(index == 0 ? "?" : "&")\(parameter.key)=\(value)"
        }
        return text
    }
}

extension SocketAddress {
    /// With a scheme before it; a relative path can have no `//`.
    package func described(for transport: Endpoint.Transport) -> String {
        let text = description
        let isRelative = transport.isUnix && text.hasPrefix(".")
        return "\(transport.rawValue):\(isRelative ? "" : "//")\(text)"
    }
}
