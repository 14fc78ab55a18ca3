internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension DatagramSocket {
    // MARK: Bound

    /// Binds to an endpoint, such as `udp://127.0.0.5:8520`, `udp://:8520` (every address of this machine) or
    /// `unix-dgram:///run/a.sock`, to talk to anybody. Port 0 means a free port.
    ///
    /// Never waits, so it takes addresses and `localhost`, and refuses other names. A Unix path gets the mode 0600 from its
    /// first moment; a path that a dead socket of this user left behind is taken over. Bound to a multicast group, it joins it,
    /// by the interface that `?interface=eth0` names or by the system's choice, and shares its port with other members. With
    /// `?broadcast=true` it may send to broadcast addresses. Throws `SocketError`. Corresponds to `socket(2)` and `bind(2)`.
    public convenience init(on endpoint: String, trace: Trace? = nil) throws(SocketError) {
        try self.init(on: Endpoint.parsed(endpoint, for: .bind), trace: trace)
    }

    /// Binds to an endpoint; see `init(on: String)`.
    public convenience init(on endpoint: Endpoint, trace: Trace? = nil) throws(SocketError) {
        let options = try DatagramOptions(of: endpoint, for: .bind)
        let made = try Binding.make(options.completed(endpoint), .datagram, trace: trace)
        do throws(Errno) {
            if endpoint.transport == .udp {
                try Self.prepare(made)
                try options.prepareToReceive(made.waitable.rawValue, at: made.address)
            }
        } catch {
            made.path?.remove()
            throw SocketError(.bind, .system(error), local: made.address, target: "\(endpoint)")
        }
        self.init(
            made.waitable, endpoint.transport, bound: made.address, remote: nil, path: made.path, trace: trace)
    }

    /// Throws what `init(on:)` would throw for the endpoint's words alone, without touching the system.
    package static func check(_ endpoint: Endpoint) throws(SocketError) {
        _ = try DatagramOptions(of: endpoint, for: .bind)
        _ = try Binding.target(of: endpoint, for: .datagram)
    }

    /// What a bound UDP socket needs beside its address.
    private static func prepare(_ made: Binding.Made) throws(Errno) {
        let fd = made.waitable.rawValue
        try System.set(.tellsOverflow, to: true, of: fd)
        // Many senders may send at the same moment; the system cuts it to net.core.rmem_max.
        try System.set(.receiveBuffer, to: wantedReceiveBuffer, of: fd)
        try System.tellHops(fd, family: made.address.family)
        // On every address, an answer leaves from the address that was asked, or its asker would not know it. In a group, a
        // question that has no hop left may be answered.
        if made.address.isEveryAddress || made.address.isMulticast {
            try System.tellDestination(fd, family: made.address.family)
        }
    }

    private static let wantedReceiveBuffer = 4 << 20

    // MARK: Connected

    /// Connects to an endpoint, such as `udp://127.0.0.5:8520`: what is sent goes there, and only its datagrams come.
    ///
    /// Waits only while a name is resolved, `timeout` at the most; nobody is asked whether he is there. `source` is the
    /// address to send from; a Unix path is made, and removed at the end, as `init(on:)` does. Without one a Unix socket gets
    /// an abstract name of its own, so that it can be answered. `?interface=eth0` says by which interface a multicast group is
    /// reached, and `?broadcast=true` allows a broadcast address. Throws `SocketError`. Corresponds to `getaddrinfo(3)`,
    /// `socket(2)`, `bind(2)` and `connect(2)`.
    public convenience init(
        to endpoint: String, from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        trace: Trace? = nil
    ) async throws(SocketError) {
        try await self.init(
            to: Endpoint.parsed(endpoint, for: .connect), from: source, family: family, timeout: timeout, trace: trace)
    }

    /// Connects to an endpoint; waits and throws as `init(to: String)` does.
    public convenience init(
        to endpoint: Endpoint, from source: SocketAddress? = nil, family: AddressFamily? = nil,
        timeout: Duration? = nil,
        trace: Trace? = nil
    ) async throws(SocketError) {
        let deadline = try endpoint.deadline(of: timeout)
        let options = try DatagramOptions(of: endpoint, for: .connect)
        let addresses =
            switch try Route(to: endpoint, by: .datagram, from: source?.ipSource, over: family) {
            case .addresses(let known): known
            case .name(let name, let port, let family):
                try await Resolver.addresses(
                    of: name, port: port, family: family, until: deadline)
            }
        try self.init(toOneOf: addresses, endpoint.transport, options, from: source, trace: trace)
    }

    /// Connects to an endpoint, such as `udp://127.0.0.5:8520`: what is sent goes there, and only its datagrams come.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public convenience init(
        to endpoint: String, from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(
            to: Endpoint.parsed(endpoint, for: .connect), from: source, family: family, timeout: timeout, trace: trace)
    }

    /// Connects to an endpoint; blocks and throws as `init(to: String)` does.
    @available(*, noasync)
    public convenience init(
        to endpoint: Endpoint, from source: SocketAddress? = nil, family: AddressFamily? = nil,
        timeout: Duration? = nil,
        trace: Trace? = nil
    ) throws(SocketError) {
        if let misuse = misuseOnLoop() { throw SocketError(.connect, misuse, target: "\(endpoint)") }
        let deadline = try endpoint.deadline(of: timeout)
        let options = try DatagramOptions(of: endpoint, for: .connect)
        let addresses =
            switch try Route(to: endpoint, by: .datagram, from: source?.ipSource, over: family) {
            case .addresses(let known): known
            case .name(let name, let port, let family):
                try Resolver.addressesBlocking(
                    of: name, port: port, family: family, until: deadline)
            }
        try self.init(toOneOf: addresses, endpoint.transport, options, from: source, trace: trace)
    }

    /// The first address that the system has a way to.
    private convenience init(
        toOneOf addresses: AddressList, _ transport: Endpoint.Transport, _ options: DatagramOptions,
        from source: SocketAddress?, trace: Trace?
    ) throws(SocketError) {
        var last: SocketError?
        for address in ([addresses.first] + addresses.others).map(options.completed) {
            var path: UnixPath?
            do throws(Errno) {
                let descriptor = try Self.connected(
                    to: address, options, from: source ?? Self.unbound(address), &path, trace)
                let bound = try System.localAddress(descriptor.rawValue)
                self.init(
                    Waitable(descriptor, shortReadsDrain: true), transport, bound: bound, remote: address, path: path,
                    trace: trace)
                return
            } catch {
                path?.remove()
                last = SocketError(
                    .connect, .system(error), local: source, remote: address, target: "\(transport.rawValue) \(address)"
                )
            }
        }
        throw last ?? SocketError(.connect, .system(.addressNotAvailable))
    }

    /// Where a socket is bound that nobody has bound: a Unix one to a name that the system makes up (unix(7), autobind).
    private static func unbound(_ address: SocketAddress) -> SocketAddress? {
        address.family == AF_UNIX ? .unnamed : nil
    }

    private static func connected(
        to address: SocketAddress, _ options: DatagramOptions, from source: SocketAddress?, _ path: inout UnixPath?,
        _ trace: Trace?
    ) throws(Errno) -> Descriptor {
        let descriptor = try System.socket(family: address.family, kind: System.kindDatagram)
        trace?.tell(.created, of: descriptor.rawValue)
        switch source {
        case .unix(let own)?: path = try UnixPath.bind(descriptor.rawValue, to: own)
        case let source?: try System.bind(descriptor.rawValue, to: source)
        case nil: break
        }
        if address.family != AF_UNIX {
            try System.set(.tellsOverflow, to: true, of: descriptor.rawValue)
            try options.prepareToSend(descriptor.rawValue, to: address)
        }
        // Datagrams need no answer to a connect; the system only looks for a way and keeps the address.
        _ = try System.connect(descriptor.rawValue, to: address)
        trace?.tell(.connected, of: descriptor.rawValue)
        return descriptor
    }

    // MARK: Made elsewhere

    /// Two connected ends in this process (`socketpair(2)`, Unix).
    ///
    /// Never waits. Throws `.system` when the process has no descriptors left.
    public static func pair(trace: Trace? = nil) throws(SocketError) -> (DatagramSocket, DatagramSocket) {
        let made: (CInt, CInt)
        do throws(Errno) {
            made = try System.socketPair(family: AF_UNIX, kind: System.kindDatagram)
        } catch {
            throw SocketError(.connect, .system(error), target: "unix-dgram pair")
        }
        let end = { (raw: CInt) in
            DatagramSocket(
                Waitable(Descriptor(owning: raw), shortReadsDrain: true), .unixDatagram, bound: .unnamed,
                remote: .unnamed, path: nil, trace: trace)
        }
        return (end(made.0), end(made.1))
    }

    /// Takes over a datagram socket that was made elsewhere, and makes it non-blocking and close-on-exec. From then on it is
    /// this object's to close, unless this throws. A Unix path stays when it closes.
    ///
    /// Never waits. Throws when it is no datagram socket. Corresponds to `fcntl(2)`.
    public convenience init(adopting descriptor: CInt, trace: Trace? = nil) throws(SocketError) {
        let local: SocketAddress
        let remote: SocketAddress?
        do throws(Errno) {
            (local, remote) = try adopt(descriptor, as: System.kindDatagram) { (fd) throws(Errno) in
                (try System.localAddress(fd), try? System.remoteAddress(fd))
            }
        } catch {
            throw SocketError(.adopt, .system(error), target: "descriptor \(descriptor)")
        }
        let transport: Endpoint.Transport = local.family == AF_UNIX ? .unixDatagram : .udp
        self.init(
            Waitable(Descriptor(owning: descriptor), shortReadsDrain: true), transport, bound: local, remote: remote,
            path: nil, trace: trace)
        waitable.markShared()
    }
}

extension SocketAddress {
    /// As a source that IP has rules for; a Unix one may be any.
    fileprivate var ipSource: SocketAddress? { ipFamily == nil ? nil : self }

    /// Whether it stands for every address of this machine.
    var isEveryAddress: Bool {
        switch self {
        case .ipv4(let address, _): address == .any
        case .ipv6(let address, _, _): address == .any
        case .unix: false
        }
    }
}
