internal import SocketCore
internal import Sockets

/// Where a client may be joined to, and how to get there.
final class Destination: Sendable {
    let endpoint: Endpoint
    /// Whether it is datagrams that go there.
    let isDatagrams: Bool
    private let source: SocketAddress?
    private let family: AddressFamily?
    private let timeout: Duration?
    private let supply: Lock<Supply>

    /// For how many clients it is there.
    private enum Supply {
        case any
        /// Standard input and output, or a socket that was passed on: they are there once.
        case one
        /// The same, opened before anybody came.
        case opened(OpenedStream)
        case adopted(DatagramSocket)
        case spent
    }

    init(
        _ endpoint: Endpoint, isDatagrams: Bool, source: SocketAddress?, family: AddressFamily?, timeout: Duration?
    ) {
        self.endpoint = endpoint
        self.isDatagrams = isDatagrams
        self.source = source
        self.family = family
        self.timeout = timeout
        supply = Lock(endpoint.isThereOnce ? .one : .any)
    }

    /// Whether nobody can be joined to it any more.
    var isSpent: Bool {
        supply.withLock { if case .spent = $0 { true } else { false } }
    }

    /// Takes over what this process was started with, while it is sure what the number means. Throws where it is not what
    /// it should be. Standard input is left alone until somebody is there to have it.
    func open(_ trace: Trace?) throws(SocketError) {
        guard endpoint.isThereOnce, endpoint.place != .standardStreams else { return }
        if isDatagrams {
            let socket = try connectedSocket(trace)
            return supply.withLock { $0 = .adopted(socket) }
        }
        let stream = try Connection.open(endpoint, trace: trace)
        supply.withLock { $0 = .opened(stream) }
    }

    /// A stream for a client; nil when there is none left.
    func connect(for client: Connection, _ trace: Trace?) async throws(SocketError) -> OpenedStream? {
        let found = supply.withLock { supply in
            defer { if endpoint.isThereOnce { supply = .spent } }
            return supply
        }
        switch found {
        case .spent: return nil
        case .opened(let stream): return stream
        case .any, .one, .adopted: break
        }
        do throws(SocketError) {
            return try await Connection.open(
                endpoint, for: client, from: source, family: family, timeout: timeout, trace: trace
            ).forGood(endpoint)
        } catch {
            supply.withLock { $0 = found }
            throw error
        }
    }

    /// A stream for a sender of datagrams: a connection to a socket's address, or a program of its own.
    func stream(for session: DatagramSession, _ trace: Trace?) async throws(SocketError) -> OpenedStream {
        try await Connection.open(
            endpoint, for: ClientAddresses(of: session), file: .append, from: source, family: family, timeout: timeout,
            trace: trace)
    }

    /// A socket for datagrams to and from there alone; nil when there is none left.
    func socket(_ trace: Trace?) async throws(SocketError) -> DatagramSocket? {
        guard endpoint.isThereOnce else {
            return try await DatagramSocket(to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
        }
        return supply.withLock { supply in
            guard case .adopted(let socket) = supply else { return nil }
            supply = .spent
            return socket
        }
    }

    /// What this process was started with, which must be connected: nothing else says where its datagrams go.
    private func connectedSocket(_ trace: Trace?) throws(SocketError) -> DatagramSocket {
        guard let socket = try DatagramSocket.inherited(by: endpoint, trace: trace), socket.remoteAddress != nil else {
            throw endpoint.refused(.adopt, "it is connected to nobody; a target is a connected socket")
        }
        return socket
    }

    /// Closes what was opened for nobody.
    func close() {
        let left = supply.withLock { supply in
            defer { if endpoint.isThereOnce { supply = .spent } }
            return supply
        }
        switch left {
        case .opened(let stream): _ = try? stream.finish(within: .zero)
        case .adopted(let socket): socket.close()
        case .any, .one, .spent: break
        }
    }
}
