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
    init(of descriptor: CInt) throws(Errno) {
        if try !System.use(of: descriptor).isSocket {
            self = .stream
        } else if try Self.number(SO_TYPE, of: descriptor) == System.kindDatagram {
            self = .datagrams
        } else {
            self = try Self.number(SO_ACCEPTCONN, of: descriptor) == 0 ? .stream : .listener
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
            do throws(Errno) {
                return try InheritedKind(of: descriptor)
            } catch {
                throw SocketError(.adopt, .system(error), target: description)
            }
        }
    }

    /// The one descriptor that `fd:` or `systemd:` names; nil for other endpoints.
    fileprivate var inheritedDescriptor: CInt? {
        get throws(SocketError) {
            switch place {
            case .address, .name, .port, .standardStreams, .program, .file: return nil
            case .descriptor(let number): return number
            case .inherited(let name):
                let found = try Inherited.sockets(named: name, for: self)
                guard let only = found.first, found.count == 1 else {
                    throw refused(.adopt, "\(found.count) sockets have this name, and one is needed here")
                }
                return only
            }
        }
    }
}

extension DatagramSocket {
    /// Takes over the one datagram socket that `fd:` or `systemd:` names, and only once; nil for other endpoints. What it is
    /// bound or connected to stays so, and a Unix path stays when it closes.
    ///
    /// Never waits. Throws as `init(adopting:)` does.
    package static func inherited(by endpoint: Endpoint, trace: Trace? = nil) throws(SocketError) -> DatagramSocket? {
        guard let descriptor = try endpoint.inheritedDescriptor else { return nil }
        return try Inherited.taking(descriptor) { () throws(SocketError) in
            let socket = try DatagramSocket(adopting: descriptor, trace: trace)
            // On every address, an answer leaves from the address that was asked, or its asker would not know it.
            if socket.transport == .udp, socket.boundAddress.isEveryAddress {
                try? System.tellDestination(descriptor, family: socket.boundAddress.family)
            }
            return socket
        }
    }
}
