internal import Loops
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// From an endpoint to a bound socket.
enum Binding {
    struct Made {
        let waitable: Waitable
        let address: SocketAddress
        let path: UnixPath?
    }

    /// What an endpoint means to one who listens, without a look at the system.
    static func target(of endpoint: Endpoint) throws(SocketError) -> (address: SocketAddress, isDualStack: Bool) {
        guard endpoint.transport == .tcp || endpoint.transport == .unix else {
            throw endpoint.refused(.bind, "a stream is needed here: tcp or unix, not \(endpoint.transport.rawValue)")
        }
        switch endpoint.place {
        case .address(let address):
            return (address, false)
        case .name(let name, let port):
            guard name.lowercased() == "localhost" else {
                throw endpoint.refused(
                    .bind,
                    "\(name) is a name, and a listener needs an address of this machine, such as 127.0.0.1, or localhost"
                )
            }
            return (.ipv4(.loopback, port: port), false)
        case .port(let port):
            return (.ipv6(.any, port: port), true)
        case .standardStreams:
            throw endpoint.refused(.bind, "standard input and output cannot be listened on")
        }
    }

    static func make(_ endpoint: Endpoint, trace: Trace?) throws(SocketError) -> Made {
        let (address, isDualStack) = try target(of: endpoint)
        do throws(SocketError) {
            return try bind(to: address, onlyIPv6: !isDualStack, trace)
        } catch {
            let isWithoutIPv6 =
                error.cause == .system(.addressFamilyNotSupported) || error.cause == .system(.addressNotAvailable)
            guard isDualStack, isWithoutIPv6, let port = address.port else { throw error }
            return try bind(to: .ipv4(.any, port: port), onlyIPv6: true, trace)
        }
    }

    private static func bind(
        to address: SocketAddress, onlyIPv6: Bool, _ trace: Trace?
    ) throws(SocketError) -> Made {
        do throws(Errno) {
            let descriptor = try System.socket(family: address.family)
            let raw = descriptor.rawValue
            trace?.tell(.created, of: raw)
            var path: UnixPath?
            if case .unix(let unix) = address {
                path = try UnixPath.bind(raw, to: unix)
            } else {
                // So that a restart need not wait for connections of the last run to be forgotten (TIME_WAIT).
                try System.set(.reuseAddress, to: true, of: raw)
                // Accepted sockets inherit it.
                try System.set(.noDelay, to: true, of: raw)
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
            return Made(waitable: Waitable(descriptor, shortReadsDrain: false), address: bound, path: path)
        } catch {
            throw SocketError(.bind, .system(error), local: address)
        }
    }
}
