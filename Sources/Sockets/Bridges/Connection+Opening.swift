internal import Loops
public import SocketCore
internal import SystemPackage

extension Connection {
    /// Opens what an endpoint of any stream names: connects to an address, runs a program, opens a file, or takes what this
    /// process was started with.
    ///
    /// - `tcp`, `unix`: as `Connection(to:)`.
    /// - `exec:`: a program of its own for each call; it is told the addresses of `client` (see `ChildProcess`).
    /// - `file:`: for `file`, unless the endpoint has a `mode`: `read`, `write` or `append` (see `FileAccess`). What is opened
    ///   as the place that things go to is appended to; who opens one to read from it says `.read`.
    /// - `-`: standard input and output. They stay open, and may be joined again.
    /// - `fd:`: a stream socket is adopted, anything else is joined by a `Bridge`. It is taken over, so only once.
    /// - `systemd:`: the one connected socket that the service manager has passed on under this name.
    ///
    /// Waits and throws as connecting does; for all else it does not wait, but for a program to begin. `timeout`, `source` and
    /// `family` are for connecting.
    public static func open(
        _ endpoint: Endpoint, for client: Connection? = nil, file mode: FileAccess = .append,
        from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) -> OpenedStream {
        if let opened = try openHere(endpoint, for: client.map { ClientAddresses(of: $0) }, mode, duplex, trace) {
            return opened
        }
        return OpenedStream(
            try await Connection(
                to: endpoint, from: source, family: family, timeout: timeout, duplex: duplex, trace: trace))
    }

    /// The same for a client of whom only the addresses are known, as of a sender of datagrams.
    package static func open(
        _ endpoint: Endpoint, for client: ClientAddresses?, file mode: FileAccess,
        from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        duplex: Duplex? = nil, trace: Trace? = nil
    ) async throws(SocketError) -> OpenedStream {
        if let opened = try openHere(endpoint, for: client, mode, duplex, trace) { return opened }
        return OpenedStream(
            try await Connection(
                to: endpoint, from: source, family: family, timeout: timeout, duplex: duplex, trace: trace))
    }

    /// Opens what an endpoint of any stream names, blocking the thread as the form with `await` suspends the task.
    @available(*, noasync)
    public static func open(
        _ endpoint: Endpoint, for client: Connection? = nil, file mode: FileAccess = .append,
        from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) -> OpenedStream {
        if let opened = try openHere(endpoint, for: client.map { ClientAddresses(of: $0) }, mode, duplex, trace) {
            return opened
        }
        return OpenedStream(
            try Connection(to: endpoint, from: source, family: family, timeout: timeout, duplex: duplex, trace: trace))
    }

    /// What needs no connecting; nil for all else. Only a program asks for the addresses of `client`.
    private static func openHere(
        _ endpoint: Endpoint, for client: @autoclosure () -> ClientAddresses?, _ mode: FileAccess, _ given: Duplex?,
        _ trace: Trace?
    ) throws(SocketError) -> OpenedStream? {
        let duplex = try endpoint.duplex(or: given)
        switch endpoint.place {
        case .address, .name, .port:
            return nil
        case .standardStreams:
            return OpenedStream(try Bridge(standardStreams: duplex, trace: trace))
        case .program(let command):
            return OpenedStream(try ChildProcess(running: command, for: client(), duplex: duplex, trace: trace))
        case .file(let path):
            return OpenedStream(
                try Bridge(opening: path, for: endpoint.fileMode(or: mode), duplex: duplex, trace: trace))
        case .descriptor(let number):
            return try endpoint.explaining { () throws(SocketError) in try opened(number, duplex, trace) }
        case .inherited:
            guard let only = try endpoint.inheritedDescriptor else { return nil }
            return try endpoint.explaining { () throws(SocketError) in
                try Inherited.taking(only) { () throws(SocketError) in
                    OpenedStream(try Connection(adopting: only, duplex: duplex, trace: trace))
                }
            }
        }
    }

    /// Opens what an endpoint names only to write to it: `file:` (appended to, unless its `mode` is `write`), `-`, which is
    /// standard output then, and an `fd:` that is no socket. Standard input, and what the other side of a descriptor says, is
    /// never read; the connection receives its end when no more can be written.
    ///
    /// Does not wait. Throws as `open` does, and `.misuse` for every other endpoint.
    package static func openOutput(_ endpoint: Endpoint, trace: Trace? = nil) throws(SocketError) -> OpenedStream {
        switch endpoint.place {
        case .standardStreams:
            return OpenedStream(try Bridge(standardOutput: trace))
        case .file(let path):
            let mode = try endpoint.fileMode(or: .append)
            guard mode != .read else { break }
            return OpenedStream(try Bridge(opening: path, for: mode, trace: trace))
        case .descriptor(let number):
            if number <= 2 { return OpenedStream(try Bridge(writingTo: number, trace: trace)) }
            return try Inherited.taking(number) { () throws(SocketError) in
                OpenedStream(try Bridge(writingTo: number, trace: trace))
            }
        case .address, .name, .port, .program, .inherited: break
        }
        throw SocketError(.open, .misuse("nothing can be written to it"), target: "\(endpoint)")
    }

    private static func opened(
        _ number: CInt, _ duplex: Duplex, _ trace: Trace?
    ) throws(SocketError) -> OpenedStream {
        let isSocket: Bool
        do throws(Errno) {
            isSocket = try System.use(of: number).isSocket
        } catch {
            throw SocketError(.adopt, .system(error), target: "fd:\(number)")
        }
        // A bridge leaves the standard streams open.
        if !isSocket, number <= 2 { return OpenedStream(try Bridge(adopting: number, duplex: duplex, trace: trace)) }
        return try Inherited.taking(number) { () throws(SocketError) in
            isSocket
                ? OpenedStream(try Connection(adopting: number, duplex: duplex, trace: trace))
                : OpenedStream(try Bridge(adopting: number, duplex: duplex, trace: trace))
        }
    }
}

extension Endpoint {
    /// Takes a stream over; of a socket without a peer the system says only that.
    fileprivate func explaining(_ take: () throws(SocketError) -> OpenedStream) throws(SocketError) -> OpenedStream {
        do throws(SocketError) {
            return try take()
        } catch {
            guard error.cause == .system(.socketNotConnected) else { throw error }
            throw refused(
                .adopt,
                try inheritedKind == .listener
                    ? "it is a listening socket, and a connected one is needed here"
                    : "it is connected to nobody, and a connected socket is needed here")
        }
    }

    /// The `mode` parameter, or what a caller wants.
    fileprivate func fileMode(or given: FileAccess) throws(SocketError) -> FileAccess {
        guard let written = self["mode"] else { return given }
        guard let mode = FileAccess(rawValue: written.value) else {
            let known = FileAccess.allCases.map(\.rawValue).joined(separator: ", ")
            throw refused(.open, "mode is one of \(known)", at: written)
        }
        return mode
    }
}
