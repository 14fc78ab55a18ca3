internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension Connection {
    // MARK: In a task

    /// Connects to an endpoint: a stream's, such as `127.0.0.5:8520`, `localhost:8520` or `/run/a.sock`.
    ///
    /// Waits while a name is resolved and while the peer's system has not answered; a name's addresses are tried in turn.
    /// `timeout` covers all of it; nil is as long as the system tries. Throws `SocketError`: of the last address tried, where there are several. Corresponds to
    /// `getaddrinfo(3)`, `socket(2)` and `connect(2)`.
    public convenience init(
        to endpoint: String, timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) {
        try await self.init(
            to: Endpoint.parsed(endpoint, for: .connect), timeout: timeout, duplex: duplex, trace: trace)
    }

    /// Connects to an endpoint.
    ///
    /// Waits and throws as `init(to: String)` does.
    public convenience init(
        to endpoint: Endpoint, timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) {
        let deadline = timeout.map { Deadline.after($0) } ?? .never
        let rule = try endpoint.duplex(or: duplex)
        let route = try Route(to: endpoint)
        var addresses = route.addresses
        if let (name, port) = route.name {
            addresses = try await Resolver.addresses(of: name, port: port, until: deadline)
        }
        var attempts = ConnectAttempts(addresses, deadline: deadline, trace: trace)
        while let socket = try attempts.next() {
            do throws(SocketError) {
                try await socket.perform(.connect, .send, outcome: { .connected }) { (fd) throws(Errno) in
                    try socket.attemptConnect(fd)
                }
            } catch {
                if let pause = attempts.failed(socket, error) {
                    do throws(SocketError) {
                        try await EventLoop.sleep(for: pause)
                    } catch {
                        throw socket.error(.connect, error.cause)
                    }
                }
                continue
            }
            if attempts.succeeded(socket) {
                self.init(socket, duplex: rule)
                return
            }
        }
        throw attempts.error
    }

    // MARK: In a thread

    /// Connects to an endpoint: a stream's, such as `127.0.0.5:8520`, `localhost:8520` or `/run/a.sock`.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public convenience init(
        to endpoint: String, timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(to: Endpoint.parsed(endpoint, for: .connect), timeout: timeout, duplex: duplex, trace: trace)
    }

    /// Connects to an endpoint.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public convenience init(
        to endpoint: Endpoint, timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        let deadline = timeout.map { Deadline.after($0) } ?? .never
        let rule = try endpoint.duplex(or: duplex)
        let route = try Route(to: endpoint)
        var addresses = route.addresses
        if let (name, port) = route.name {
            addresses = try Resolver.addressesBlocking(of: name, port: port, until: deadline)
        }
        var attempts = ConnectAttempts(addresses, deadline: deadline, trace: trace)
        while let socket = try attempts.next() {
            do throws(SocketError) {
                try socket.performBlocking(.connect, .send, outcome: { .connected }) { (fd) throws(Errno) in
                    try socket.attemptConnect(fd)
                }
            } catch {
                if let pause = attempts.failed(socket, error) {
                    _ = try? Bell().waitBlocking(until: .after(pause))
                }
                continue
            }
            if attempts.succeeded(socket) {
                self.init(socket, duplex: rule)
                return
            }
        }
        throw attempts.error
    }
}

/// A socket on its way to its peer.
final class ConnectingSocket: DrivenSocket {
    let waitable: Waitable
    let remote: SocketAddress
    let trace: Trace?
    /// Belongs to the holder of the send turn.
    nonisolated(unsafe) private var hasBegun = false

    init(to address: SocketAddress, trace: Trace?) throws(SocketError) {
        remote = address
        self.trace = trace
        do throws(Errno) {
            let descriptor = try System.socket(family: address.family)
            let isUnix = address.family == AF_UNIX
            if !isUnix { try System.set(.noDelay, to: true, of: descriptor.rawValue) }
            trace?.tell(.created, of: descriptor.rawValue)
            waitable = Waitable(descriptor, shortReadsDrain: !isUnix)
        } catch {
            throw SocketError(.connect, .system(error), remote: address)
        }
    }

    var who: SocketAddress { remote }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        SocketError(operation, cause, remote: remote)
    }

    /// Begins to connect, or asks what came of it: a connect(2) goes on by itself and is never called twice.
    func attemptConnect(_ fd: CInt) throws(Errno) -> Attempt<Void> {
        guard hasBegun else {
            hasBegun = true
            return try System.connect(fd, to: remote)
        }
        if let failure = try System.get(.pendingError, of: fd) { throw failure }
        do throws(Errno) {
            _ = try System.remoteAddress(fd)
            return .done(())
        } catch .socketNotConnected {
            return .wait(.send)
        }
    }

    /// Whether TCP connected the socket to itself: on loopback a port that nobody listens on can be the very one that the
    /// kernel picked for this end.
    var isSelfConnected: Bool {
        remote.port != nil && (try? waitable.use { (fd) throws(Errno) in try System.localAddress(fd) }) == remote
    }
}

/// The addresses that are left to try, and what came of those that were tried. It never waits.
struct ConnectAttempts {
    private var left: ArraySlice<SocketAddress>
    private let deadline: Deadline
    private let trace: Trace?
    private(set) var error = SocketError(.connect, .system(.addressNotAvailable))
    private var selfConnections = 0
    private var pause = Duration.milliseconds(1)

    private static let mostSelfConnections = 3
    private static let longestPause = Duration.milliseconds(100)

    init(_ addresses: [SocketAddress], deadline: Deadline, trace: Trace?) {
        left = addresses[...]
        self.deadline = deadline
        self.trace = trace
    }

    /// A socket for the next address; nil when none is left.
    mutating func next() throws(SocketError) -> ConnectingSocket? {
        while let address = left.first {
            do throws(SocketError) {
                let socket = try ConnectingSocket(to: address, trace: trace)
                socket.waitable.setDeadline(deadlineOfThis, .send)
                return socket
            } catch {
                // A machine without IPv6 cannot even make the socket; the next address may do.
                left.removeFirst()
                self.error = error
                if left.isEmpty { throw error }
            }
        }
        return nil
    }

    /// An even share of what is left, so that one dead address does not use up the time of all.
    private var deadlineOfThis: Deadline {
        guard let remaining = deadline.remaining, left.count > 1 else { return deadline }
        return min(deadline, .after(remaining / left.count))
    }

    /// Notes a failure. Gives a pause after which the same address is to be tried again: a Unix listener whose queue is
    /// full says so instead of letting the connecting socket wait, and there is nothing to poll for.
    mutating func failed(_ socket: ConnectingSocket, _ error: SocketError) -> Duration? {
        socket.waitable.close()
        self.error = error
        if error.cause == .system(.wouldBlock), socket.remote.port == nil {
            if deadline.isPast {
                self.error = SocketError(.connect, .timedOut, remote: socket.remote)
                left = []
                return nil
            }
            defer { pause = min(pause * 2, Self.longestPause) }
            return pause
        }
        left.removeFirst()
        // Cancellation, and the end of the whole time, are for all addresses alike.
        if error.cause == .cancelled || deadline.isPast { left = [] }
        return nil
    }

    /// Notes a success; false when it was a connection to itself, which is closed and tried again.
    mutating func succeeded(_ socket: ConnectingSocket) -> Bool {
        guard socket.isSelfConnected else {
            socket.waitable.setDeadline(.never, .send)
            trace?.tell(.connected, of: socket.waitable.rawValue)
            return true
        }
        selfConnections += 1
        if selfConnections == Self.mostSelfConnections {
            _ = failed(socket, SocketError(.connect, .system(.connectionRefused), remote: socket.remote))
        } else {
            socket.waitable.close()
        }
        return false
    }
}

/// What an endpoint means to one who connects.
struct Route {
    var addresses: [SocketAddress] = []
    var name: (String, port: UInt16)?

    init(to endpoint: Endpoint, by kind: SocketKind = .stream) throws(SocketError) {
        try kind.check(endpoint, .connect)
        switch endpoint.place {
        case .address(let address): addresses = [address]
        case .name(let name, let port): self.name = (name, port)
        // This machine: both of its loopback addresses, since a listener may be on either.
        case .port(let port): addresses = [.ipv4(.loopback, port: port), .ipv6(.loopback, port: port)]
        case .standardStreams: throw endpoint.refused(.connect, "standard input and output cannot be connected to")
        }
        if addresses.contains(where: { $0.port == 0 }) || name?.port == 0 {
            throw endpoint.refused(.connect, "port 0 cannot be connected to; it means \"any free port\" to a listener")
        }
    }
}

extension Endpoint {
    static func parsed(_ text: String, for operation: SocketError.Operation) throws(SocketError) -> Endpoint {
        do throws(EndpointError) {
            return try Endpoint(text)
        } catch {
            throw SocketError(operation, .endpoint(error))
        }
    }

    /// That this endpoint cannot be used so.
    /// The error points at the value of a parameter where one is at fault, in the endpoint as it prints.
    func refused(_ operation: SocketError.Operation, _ reason: String, at parameter: Parameter? = nil) -> SocketError {
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
