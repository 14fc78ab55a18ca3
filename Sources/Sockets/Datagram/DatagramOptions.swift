internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What an endpoint says about its UDP socket after the `?`: `interface`, for a multicast group or an address of one link,
/// and `broadcast`.
struct DatagramOptions {
    /// The interface's number; 0 is the system's choice.
    private let interface: UInt32
    private let mayBroadcast: Bool

    /// Throws `.endpoint` for a value that cannot be meant.
    init(of endpoint: Endpoint, for operation: SocketError.Operation) throws(SocketError) {
        mayBroadcast = try Self.mayBroadcast(endpoint, operation)
        interface = try Self.interface(endpoint, operation)
    }

    private static func mayBroadcast(
        _ endpoint: Endpoint, _ operation: SocketError.Operation
    ) throws(SocketError) -> Bool {
        guard let written = endpoint["broadcast"] else { return false }
        guard let value = Bool(written.value) else {
            throw endpoint.refused(operation, "broadcast is true or false", at: written)
        }
        return value
    }

    private static func interface(
        _ endpoint: Endpoint, _ operation: SocketError.Operation
    ) throws(SocketError) -> UInt32 {
        guard let written = endpoint["interface"] else { return 0 }
        guard let number = interfaceNumber(written.value) else {
            throw endpoint.refused(
                operation, "this machine has no interface \"\(written.value.escapedForTerminal())\"", at: written)
        }
        switch endpoint.place {
        // Its addresses are not known yet.
        case .name: return number
        case .address(let address) where address.isMulticast || address.isOfOneLink:
            if case .ipv6(_, _, let zone) = address, zone != 0, zone != number {
                throw endpoint.refused(operation, "the address names another interface", at: written)
            }
            return number
        default:
            throw endpoint.refused(
                operation, "an interface is for a multicast group, or for an address of one link", at: written)
        }
    }

    /// The address together with the interface, where it means nothing without.
    func completed(_ address: SocketAddress) -> SocketAddress {
        guard case .ipv6(let ipv6, let port, zone: 0) = address, address.isOfOneLink else { return address }
        return .ipv6(ipv6, port: port, zone: interface)
    }

    func completed(_ endpoint: Endpoint) -> Endpoint {
        guard interface != 0, case .address(let address) = endpoint.place else { return endpoint }
        return Endpoint(trusting: endpoint.transport, .address(completed(address)))
    }

    /// What holds for sending, before the socket is connected.
    func prepareToSend(_ descriptor: CInt, to address: SocketAddress) throws(Errno) {
        if mayBroadcast { try System.set(.broadcast, to: true, of: descriptor) }
        guard interface != 0, address.isMulticast else { return }
        if address.family == AF_INET6 {
            try System.set(.multicastInterface6, to: Int(interface), of: descriptor)
        } else {
            try System.setMulticastInterface(descriptor, interface)
        }
    }

    /// What holds for a socket that is bound to an address: it joins the group that this is.
    func prepareToReceive(_ descriptor: CInt, at address: SocketAddress) throws(Errno) {
        try prepareToSend(descriptor, to: address)
        guard address.isMulticast else { return }
        var number = interface
        if number == 0, case .ipv6(_, _, let zone) = address { number = zone }
        try System.joinGroup(descriptor, address, interface: number, joins: true)
    }
}
