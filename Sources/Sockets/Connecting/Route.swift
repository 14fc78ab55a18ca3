internal import SocketCore

/// What an endpoint means to one who connects.
enum Route {
    case addresses(AddressList)
    /// A name, whose addresses of a family are wanted, or all.
    case name(String, port: UInt16, AddressFamily?)

    /// Throws `.endpoint` for an endpoint that cannot be connected to, or not from this source or over this family.
    init(
        to endpoint: Endpoint, by kind: SocketKind = .stream, from source: SocketAddress?, over asked: AddressFamily?
    ) throws(SocketError) {
        try kind.check(endpoint, .connect)
        let family = try Self.family(from: source, over: asked)
        switch endpoint.place {
        case .address(let address):
            if address.port == 0 { throw endpoint.hasNoPort }
            if let family, address.ipFamily != family { throw endpoint.isNot(family, address, source) }
            self = .addresses(AddressList(address))
        case .name(let name, let port):
            if port == 0 { throw endpoint.hasNoPort }
            self = .name(name, port: port, family)
        case .port(let port):
            if port == 0 { throw endpoint.hasNoPort }
            // This machine: both of its loopback addresses, since a listener may be on either.
            let both: [SocketAddress] = [.ipv4(.loopback, port: port), .ipv6(.loopback, port: port)]
            let wanted = both.filter { family == nil || $0.ipFamily == family }
            guard let addresses = AddressList(interleaving: wanted) else { throw endpoint.hasNoPort }
            self = .addresses(addresses)
        case .standardStreams: throw endpoint.refused(.connect, "standard input and output cannot be connected to")
        case .program, .file, .descriptor, .inherited: throw endpoint.hasNoAddress(.connect)
        }
    }

    /// The one family that can be used: the one that was asked for, or the source's.
    private static func family(
        from source: SocketAddress?, over asked: AddressFamily?
    ) throws(SocketError) -> AddressFamily? {
        guard let source else { return asked }
        guard let own = source.ipFamily else {
            throw SocketError(.connect, .misuse("the source \(source) is no IP address; only that can be chosen"))
        }
        if let asked, asked != own {
            let what =
                "the source \(source) is an \(own) address, and only \(asked) is asked for; leave one of them out"
            throw SocketError(.connect, .misuse(what))
        }
        return own
    }
}

extension Endpoint {
    fileprivate var hasNoPort: SocketError {
        refused(.connect, "port 0 cannot be connected to; it means \"any free port\" to a listener")
    }

    /// That it is an address of another kind than the one that can be used.
    fileprivate func isNot(_ family: AddressFamily, _ address: SocketAddress, _ source: SocketAddress?) -> SocketError {
        guard let found = address.ipFamily else {
            let wish: Phrase = source.map { "the source \($0)" } ?? "the family"
            return refused(
                .connect, "a Unix socket has no IP address; leave \(wish) out, or write an \(family) address")
        }
        if let source {
            return refused(
                .connect,
                "it is an \(found) address, and the source \(source) an \(family) one; both are to be of one family")
        }
        return refused(
            .connect, "it is an \(found) address, and only \(family) is asked for; write an \(family) address or a name"
        )
    }

    /// Throws what connecting from this source or over this family would throw for the words alone, without touching the
    /// system.
    package func checkForConnecting(from source: SocketAddress?, over family: AddressFamily?) throws(SocketError) {
        if transport == .udp { _ = try DatagramOptions(of: self, for: .connect) }
        _ = try Route(to: self, by: transport.carriesDatagrams ? .datagram : .stream, from: source, over: family)
    }

    static func parsed(_ text: String, for operation: SocketError.Operation) throws(SocketError) -> Endpoint {
        do throws(EndpointError) {
            return try Endpoint(text)
        } catch {
            throw SocketError(operation, .endpoint(error))
        }
    }

    /// That it is a stream, but none that a socket's address leads to.
    func hasNoAddress(_ operation: SocketError.Operation) -> SocketError {
        refused(operation, "a socket's address is needed here: tcp or unix, not \(transport.rawValue)")
    }

    /// That this endpoint cannot be used so.
    /// The error points at the value of a parameter where one is at fault, in the endpoint as it prints.
    package func refused(_ operation: SocketError.Operation, _ reason: Phrase, at parameter: Parameter? = nil)
        -> SocketError
    {
        let text = description
        let key = parameter.flatMap { text.firstRange(of: "\($0.key)=") }
        let position = key.map { text.utf8.distance(from: text.startIndex, to: $0.upperBound) } ?? 0
        return SocketError(operation, .endpoint(EndpointError(text: text, position: position, reason: reason)))
    }

    /// The rule that a caller gave, or else the endpoint's `duplex` parameter, or else full.
    func duplex(or given: Duplex?) throws(SocketError) -> Duplex {
        if let given { return given }
        guard let written = self["duplex"] else { return .full }
        guard let duplex = Duplex(rawValue: written.value) else {
            let known = Duplex.allCases.map(\.rawValue).joined(separator: ", ")
            throw refused(.connect, "duplex is one of \(known)", at: written)
        }
        return duplex
    }
}
