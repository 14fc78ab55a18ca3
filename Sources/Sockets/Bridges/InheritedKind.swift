internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a descriptor is that this process was started with.
package enum InheritedKind: Sendable, Hashable {
    /// A stream socket that lets clients connect.
    case listener
    /// A stream: a connected socket, or what is no socket at all.
    case stream
    /// A datagram socket.
    case datagrams

    /// What a descriptor is, as `getsockopt(2)` tells. Throws where it is not open.
    init(of descriptor: CInt) throws(SocketError) {
        do throws(Errno) {
            if try !System.use(of: descriptor).isSocket {
                self = .stream
            } else if try Self.number(SO_TYPE, of: descriptor) == System.kindDatagram {
                self = .datagrams
            } else {
                self = try Self.number(SO_ACCEPTCONN, of: descriptor) == 0 ? .stream : .listener
            }
        } catch {
            throw SocketError(.adopt, .system(error), target: "fd:\(descriptor)")
        }
    }

    private static func number(_ option: CInt, of descriptor: CInt) throws(Errno) -> CInt {
        var number: CInt = 0
        _ = try withUnsafeMutableBytes(of: &number) { (bytes) throws(Errno) in
            try System.getOption(descriptor, SOL_SOCKET, option, bytes)
        }
        return number
    }
}

extension Endpoint {
    /// What the one descriptor is that `fd:` or `systemd:` names; nil for other endpoints.
    ///
    /// Takes nothing over, and never waits. Throws where it is not open, and where there is none or more than one of the name.
    /// Asked before this process opens anything else, it cannot mistake that for what it was started with.
    package var inheritedKind: InheritedKind? {
        get throws(SocketError) {
            guard let descriptor = try inheritedDescriptor else { return nil }
            return try InheritedKind(of: descriptor)
        }
    }

    /// Whether it names datagram sockets, also those that `fd:` or `systemd:` names, which are of one kind then.
    ///
    /// Never waits. Throws as `inheritedKind` does, but for their number, and where some of them are streams.
    package var namesDatagrams: Bool {
        get throws(SocketError) {
            guard let descriptors = try inheritedDescriptors else { return transport.carriesDatagrams }
            var (datagrams, streams) = (0, 0)
            for descriptor in descriptors {
                if try InheritedKind(of: descriptor) == .datagrams { datagrams += 1 } else { streams += 1 }
            }
            guard datagrams == 0 || streams == 0 else {
                throw refused(
                    .adopt,
                    "some of its sockets are streams and some are not; give them names of their own (FileDescriptorName=)"
                )
            }
            return datagrams > 0
        }
    }

    /// The descriptors that `fd:` or `systemd:` names; nil for other endpoints.
    ///
    /// Takes nothing over, and never waits. Throws where the service manager has passed on nothing of the name.
    package var inheritedDescriptors: [CInt]? {
        get throws(SocketError) {
            switch place {
            case .address, .name, .port, .standardStreams, .program, .file: nil
            case .descriptor(let number): [number]
            case .inherited(let name): try Inherited.sockets(named: name, for: self)
            }
        }
    }

    /// The one descriptor that `fd:` or `systemd:` names; nil for other endpoints. Throws also where there are more.
    var inheritedDescriptor: CInt? {
        get throws(SocketError) {
            guard let found = try inheritedDescriptors else { return nil }
            guard let only = found.first, found.count == 1 else {
                throw refused(.adopt, "\(found.count) sockets have this name, and one is needed here")
            }
            return only
        }
    }
}

extension DatagramSocket {
    /// The datagram sockets that an endpoint names, to receive by: one that is bound to its address, the socket of `fd:`, or
    /// each that the service manager has passed on under the name of `systemd:`.
    ///
    /// An inherited socket is taken over, and only once. What it is bound or connected to stays so, and a Unix path stays
    /// when it closes.
    ///
    /// Never waits. Throws as `init(on:)` does, and where what was inherited is no datagram socket.
    public static func open(_ endpoint: Endpoint, trace: Trace? = nil) throws(SocketError) -> [DatagramSocket] {
        guard let descriptors = try endpoint.inheritedDescriptors else {
            return [try DatagramSocket(on: endpoint, trace: trace)]
        }
        return try descriptors.map { (descriptor) throws(SocketError) in try inherited(descriptor, trace) }
    }

    /// The one datagram socket that `fd:` or `systemd:` names, as `open` gives it; nil for other endpoints.
    ///
    /// Never waits. Throws as `open` does, and where there is more than one of the name.
    package static func inherited(by endpoint: Endpoint, trace: Trace? = nil) throws(SocketError) -> DatagramSocket? {
        guard let descriptor = try endpoint.inheritedDescriptor else { return nil }
        return try inherited(descriptor, trace)
    }

    private static func inherited(_ descriptor: CInt, _ trace: Trace?) throws(SocketError) -> DatagramSocket {
        try Inherited.taking(descriptor) { () throws(SocketError) in
            let socket = try DatagramSocket(adopting: descriptor, trace: trace)
            guard socket.transport == .udp else { return socket }
            // As for one that is bound here: with its hops two servers cannot answer each other for ever, and on every
            // address an answer leaves from the one that was asked, or its asker would not know it.
            let family = socket.boundAddress.family
            try? System.tellHops(descriptor, family: family)
            if socket.boundAddress.isEveryAddress { try? System.tellDestination(descriptor, family: family) }
            return socket
        }
    }
}
