public import SocketCore

extension Listener {
    /// The listeners that an endpoint names: one on an address, the socket of `fd:`, or each that the service manager has
    /// passed on under the name of `systemd:`.
    ///
    /// An inherited socket is taken over, and only once. It listens already; a `backlog` in the endpoint is set anew. A
    /// Unix path stays when it closes. For `systemd:` the variables are read once (`sd_listen_fds(3)`).
    ///
    /// Never waits. Throws as `init(on:)` does, and where what was inherited is no listening stream socket.
    public static func open(
        _ endpoint: Endpoint, backlog: Int? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) -> [Listener] {
        guard let descriptors = try endpoint.inheritedDescriptors else {
            return [try Listener(on: endpoint, backlog: backlog, duplex: duplex, trace: trace)]
        }
        let rule = try endpoint.duplex(or: duplex)
        var length = backlog
        if length == nil, endpoint["backlog"] != nil { length = try endpoint.backlog }
        if let length, let wrong = SocketError.Cause.refusing("backlog", length) {
            throw SocketError(.listen, wrong, target: "\(endpoint)")
        }
        // All of them before any is taken.
        for descriptor in descriptors { try checkListening(descriptor) }
        var listeners: [Listener] = []
        for descriptor in descriptors {
            let listener = try Inherited.taking(descriptor) { () throws(SocketError) in
                try Listener(adopting: descriptor, duplex: rule, trace: trace)
            }
            if let length { try listener.listen(backlog: length) }
            listeners.append(listener)
        }
        return listeners
    }

    /// Whether clients connect to what an endpoint names. All else is one stream that is there already: for
    /// `Connection.open`.
    ///
    /// Never waits. Throws where a descriptor is not open, or is a datagram socket, and where the service manager has passed on
    /// nothing of this name.
    package static func isNamed(by endpoint: Endpoint) throws(SocketError) -> Bool {
        guard let descriptors = try endpoint.inheritedDescriptors else {
            switch endpoint.place {
            case .address, .name, .port: return true
            case .standardStreams, .program, .file, .descriptor, .inherited: return false
            }
        }
        // A service with Accept=yes gets a client's socket instead of the listening one: systemd.socket(5).
        var isListener = false
        for descriptor in descriptors {
            switch try InheritedKind(of: descriptor) {
            case .listener: isListener = true
            case .stream: break
            case .datagrams:
                throw endpoint.refused(.adopt, "it is a datagram socket, and a stream is needed here")
            }
        }
        return isListener
    }

    private static func checkListening(_ descriptor: CInt) throws(SocketError) {
        guard try InheritedKind(of: descriptor) == .listener else {
            throw SocketError(
                .adopt, .misuse("it is no listening socket; a connected one can only be the target"),
                target: "fd:\(descriptor)")
        }
    }
}
