// An endpoint that a program makes of its parts, and no parser has read.
//
// Invariant: every endpoint prints so that it parses back as itself. A place that would read as another one, or as nothing,
// is therefore refused: a transport with a place that it cannot have, a host's name that is an address or has a `?` in it.

extension Endpoint {
    /// The endpoint at a place, without parameters. An IPv6 address that stands for an IPv4 one becomes that.
    ///
    /// Throws `EndpointError` where the transport has no such place, or where the endpoint would print so that it does not
    /// parse back: an address or a character that no host's name has in `.name`, an unnamed Unix socket, a zero byte in an
    /// abstract name, a negative descriptor.
    public init(_ transport: Transport, _ place: Place) throws(EndpointError) {
        self.init(trusting: transport, place)
        if isKnownToParse { return }
        let printed = description
        guard try Endpoint(printed) == self else {
            throw EndpointError(
                text: printed, position: 0, reason: "a \(transport.rawValue) endpoint cannot have this place")
        }
    }

    /// The stream endpoint at an address; throws as `init(_:_:)` does.
    public init(_ address: SocketAddress) throws(EndpointError) {
        if case .unix = address {
            try self.init(.unix, .address(address))
        } else {
            try self.init(.tcp, .address(address))
        }
    }

    /// The same without a check: the caller knows that the place is right.
    package init(trusting transport: Transport, _ place: Place) {
        self.init(transport, place.canonical, parameters: [])
    }

    /// The endpoint of a socket: at its address, or if no endpoint can name that, its descriptor's number.
    package init(of descriptor: CInt, _ transport: Transport, at address: SocketAddress) {
        self.init(trusting: transport, .address(address))
        if !isKnownToParse, (try? Endpoint(description)) != self {
            self.init(trusting: .descriptor, .descriptor(descriptor))
        }
    }

    /// Whether it needs no parser to see that it parses back; a server makes one for each client that it reports.
    private var isKnownToParse: Bool {
        switch (transport, place) {
        case (.tcp, .address(.ipv4)), (.udp, .address(.ipv4)): true
        case (.tcp, .address(.ipv6(_, _, 0))), (.udp, .address(.ipv6(_, _, 0))): true
        case (.tcp, .port), (.udp, .port): true
        case (.unix, .address(.unix(let address))), (.unixDatagram, .address(.unix(let address))): address.isWritable
        default: false
        }
    }
}

extension Endpoint.Place {
    /// The same place in the form that a parser gives it.
    fileprivate var canonical: Endpoint.Place {
        guard case .address(.ipv6(let address, let port, _)) = self, let mapped = address.mappedIPv4 else {
            return self
        }
        return .address(.ipv4(mapped, port: port))
    }
}

extension UnixAddress {
    /// Whether a person can write it: the kernel has places that no grammar names.
    fileprivate var isWritable: Bool {
        switch kind {
        case .unnamed: false
        case .path: bytes.count <= Self.longestPath
        case .abstract: bytes.count > 1 && bytes.count <= Self.longestName + 1 && !bytes.dropFirst().contains(0)
        }
    }
}
