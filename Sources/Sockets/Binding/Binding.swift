internal import Loops
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Streams or datagrams: what `socket(2)` calls the type.
enum SocketKind {
    case stream, datagram

    var systemKind: CInt { self == .stream ? System.kindStream : System.kindDatagram }

    /// Refuses an endpoint of the other kind, and one that is no socket's address.
    func check(_ endpoint: Endpoint, _ operation: SocketError.Operation) throws(SocketError) {
        if self == .stream, !endpoint.transport.hasAddresses { throw endpoint.hasNoAddress(operation) }
        guard endpoint.transport.carriesDatagrams != (self == .datagram) else { return }
        let needed =
            self == .stream ? "a stream is needed here: tcp or unix" : "datagrams are needed here: udp or unix-dgram"
        throw endpoint.refused(operation, "\(needed), not \(endpoint.transport.rawValue)")
    }

    /// The transport of a socket of this kind at an address.
    func transport(of address: SocketAddress) -> Endpoint.Transport {
        switch (self, address) {
        case (.stream, .unix): .unix
        case (.stream, _): .tcp
        case (.datagram, .unix): .unixDatagram
        case (.datagram, _): .udp
        }
    }
}

/// From an endpoint to a bound socket.
enum Binding {
    struct Made {
        let waitable: Waitable
        let address: SocketAddress
        let path: UnixPath?
    }

    /// What an endpoint means to one who listens, without a look at the system.
    static func target(
        of endpoint: Endpoint, for kind: SocketKind
    ) throws(SocketError) -> (address: SocketAddress, isDualStack: Bool) {
        try kind.check(endpoint, .bind)
        switch endpoint.place {
        case .address(let address):
            return (address, false)
        case .name(let name, let port):
            guard name.lowercased() == "localhost" else {
                let who: Phrase = kind == .stream ? "listener" : "bound socket"
                throw endpoint.refused(
                    .bind,
                    "\(name) is a name, and a \(who) needs an address of this machine, such as 127.0.0.1, or localhost"
                )
            }
            return (.ipv4(.loopback, port: port), false)
        case .port(let port):
            return (.ipv6(.any, port: port), true)
        case .standardStreams:
            throw endpoint.refused(.bind, "standard input and output cannot be listened on")
        case .program, .file, .descriptor, .inherited:
            throw endpoint.hasNoAddress(.bind)
        }
    }

    static func make(_ endpoint: Endpoint, _ kind: SocketKind, trace: Trace?) throws(SocketError) -> Made {
        let (address, isDualStack) = try target(of: endpoint, for: kind)
        do throws(SocketError) {
            return try bind(kind, to: address, onlyIPv6: !isDualStack, trace)
        } catch {
            let isWithoutIPv6 =
                error.cause == .system(.addressFamilyNotSupported) || error.cause == .system(.addressNotAvailable)
            guard isDualStack, isWithoutIPv6, let port = address.port else { throw error }
            return try bind(kind, to: .ipv4(.any, port: port), onlyIPv6: true, trace)
        }
    }

    private static func bind(
        _ kind: SocketKind, to address: SocketAddress, onlyIPv6: Bool, _ trace: Trace?
    ) throws(SocketError) -> Made {
        do throws(Errno) {
            let descriptor = try System.socket(family: address.family, kind: kind.systemKind)
            let raw = descriptor.rawValue
            trace?.tell(.created, of: raw)
            var path: UnixPath?
            if case .unix(let unix) = address {
                path = try UnixPath.bind(raw, to: unix)
            } else {
                if kind == .stream {
                    // So that a restart need not wait for connections of the last run to be forgotten (TIME_WAIT). For
                    // datagrams it would let another program take the address over.
                    try System.set(.reuseAddress, to: true, of: raw)
                    // Accepted sockets inherit it.
                    try System.set(.noDelay, to: true, of: raw)
                }
                // Each member of a group gets its datagrams, so several on one machine share the port.
                if kind == .datagram, address.isMulticast { try System.set(.reuseAddress, to: true, of: raw) }
                if address.family == AF_INET6 { try System.set(.onlyIPv6, to: onlyIPv6, of: raw) }
                try System.bind(raw, to: address)
            }
            let bound: SocketAddress
            do throws(Errno) {
                bound = try System.localAddress(raw)
            } catch {
                path?.remove()
                throw error
            }
            trace?.tell(.bound, of: raw)
            return Made(waitable: Waitable(descriptor, shortReadsDrain: kind == .datagram), address: bound, path: path)
        } catch {
            throw SocketError(
                .bind, .system(error), local: address, target: "\(kind.transport(of: address).rawValue) \(address)")
        }
    }
}
