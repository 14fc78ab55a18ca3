internal import Loops
public import SocketCore
internal import SystemPackage

extension Connection {
    // MARK: In a task

    /// Connects to an endpoint: a stream's, such as `127.0.0.5:8520`, `localhost:8520` or `/run/a.sock`.
    ///
    /// Waits while a name is resolved and while the peer's system has not answered. Where there are several addresses, of a
    /// name or of `:8520`, they are raced, each begun 250 ms after the one before it or as soon as that fails
    /// (RFC 8305); the first that answers wins. `timeout` covers all of it; nil is as long as the system tries, and a time
    /// below zero is refused (`.misuse`). Cancelling
    /// the task ends it at once.
    ///
    /// `source` is the address to come from, one of this machine's; with port 0 the system chooses the port. Only
    /// addresses of its family are tried, or of `family` where that is given.
    ///
    /// Throws `SocketError`; where several addresses failed, of the attempt that got furthest. Corresponds to
    /// `getaddrinfo(3)`, `socket(2)`, `bind(2)` and `connect(2)`.
    public convenience init(
        to endpoint: String, from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) {
        try await self.init(
            to: Endpoint.parsed(endpoint, for: .connect), from: source, family: family, timeout: timeout,
            duplex: duplex, trace: trace)
    }

    /// Connects to an endpoint.
    ///
    /// Waits and throws as `init(to: String)` does.
    public convenience init(
        to endpoint: Endpoint, from source: SocketAddress? = nil, family: AddressFamily? = nil,
        timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) {
        let deadline = try endpoint.deadline(of: timeout)
        let rule = try endpoint.duplex(or: duplex)
        let addresses =
            switch try Route(to: endpoint, from: source, over: family) {
            case .addresses(let known): known
            case .name(let name, let port, let family):
                try await Resolver.addresses(of: name, port: port, family: family, until: deadline)
            }
        guard addresses.others.isEmpty else {
            try await self.init(racing: addresses, from: source, until: deadline, duplex: rule, trace: trace)
            return
        }
        var attempts = ConnectAttempts(at: addresses.first, from: source, trace: trace)
        while true {
            let socket = try attempts.begin()
            socket.waitable.setDeadline(deadline, .send)
            do throws(SocketError) {
                try await socket.perform(.connect, .send, outcome: { .connected }) { (fd) throws(Errno) in
                    try socket.attemptConnect(fd)
                }
            } catch {
                let pause = try attempts.pause(after: error, of: socket, until: deadline)
                do throws(SocketError) {
                    try await EventLoop.sleep(for: pause)
                } catch {
                    throw socket.error(.connect, error.cause)
                }
                continue
            }
            guard try attempts.hasPeer(socket) else { continue }
            socket.waitable.setDeadline(.never, .send)
            self.init(socket, duplex: rule)
            return
        }
    }

    // MARK: In a thread

    /// Connects to an endpoint: a stream's, such as `127.0.0.5:8520`, `localhost:8520` or `/run/a.sock`.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public convenience init(
        to endpoint: String, from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(
            to: Endpoint.parsed(endpoint, for: .connect), from: source, family: family, timeout: timeout,
            duplex: duplex, trace: trace)
    }

    /// Connects to an endpoint.
    ///
    /// Blocks the thread as the form with `await` suspends the task, and throws the same.
    @available(*, noasync)
    public convenience init(
        to endpoint: Endpoint, from source: SocketAddress? = nil, family: AddressFamily? = nil,
        timeout: Duration? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        let deadline = try endpoint.deadline(of: timeout)
        let rule = try endpoint.duplex(or: duplex)
        let route = try Route(to: endpoint, from: source, over: family)
        if let misuse = misuseOnLoop() { throw SocketError(.connect, misuse, target: "\(endpoint)") }
        let addresses =
            switch route {
            case .addresses(let known): known
            case .name(let name, let port, let family):
                try Resolver.addressesBlocking(of: name, port: port, family: family, until: deadline)
            }
        guard addresses.others.isEmpty else {
            try self.init(racing: addresses, from: source, until: deadline, duplex: rule, trace: trace)
            return
        }
        var attempts = ConnectAttempts(at: addresses.first, from: source, trace: trace)
        while true {
            let socket = try attempts.begin()
            socket.waitable.setDeadline(deadline, .send)
            do throws(SocketError) {
                try socket.performBlocking(.connect, .send, outcome: { .connected }) { (fd) throws(Errno) in
                    try socket.attemptConnect(fd)
                }
            } catch {
                let pause = try attempts.pause(after: error, of: socket, until: deadline)
                Bell.pauseThread(for: pause)
                continue
            }
            guard try attempts.hasPeer(socket) else { continue }
            socket.waitable.setDeadline(.never, .send)
            self.init(socket, duplex: rule)
            return
        }
    }
}

extension Endpoint {
    /// Until when connecting to it may last.
    func deadline(of timeout: Duration?) throws(SocketError) -> Deadline {
        if let wrong = SocketError.Cause.refusingNegative("timeout", timeout) {
            throw SocketError(.connect, wrong, target: "\(self)")
        }
        return timeout.map { Deadline.after($0) } ?? .never
    }
}
