internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The tutorial's listening socket: bound to an address, and accepting clients.
///
/// `listen(2)`'s number, the backlog, limits how many clients may queue until they are accepted. It is no limit on how many
/// are served; that is `serve`'s.
public final class Listener: Sendable {
    /// The address it is bound to, with the port that the system chose where 0 was asked for (`getsockname(2)`).
    public let address: SocketAddress
    /// The rule of who may speak when, for the connections it accepts.
    public let duplex: Duplex
    let trace: Trace?
    package let waitable: Waitable
    /// The file of a Unix listener, which goes away with it.
    private let path: UnixPath?
    private let isAdopted: Bool
    /// The servers that may be waiting for room instead of for clients.
    let servers = Lock<[ClientCount]>([])

    /// How many clients may queue unless a caller or the endpoint's `backlog` says otherwise; the system cuts it to `net.core.somaxconn`.
    public static let defaultBacklog = 4096

    /// Listens on an endpoint, such as `127.0.0.5:8520`, `[::1]:8520`, `:8520` (every address of this machine) or
    /// `/run/a.sock`. Port 0 means a free port.
    ///
    /// Never waits, so it takes addresses and `localhost`, and refuses other names: resolve them first. A Unix path gets
    /// the mode 0600 from its first moment; a path that a dead listener of this user left behind is taken over. A link is
    /// neither followed nor removed, and in a directory that everybody may write to and that has no sticky bit, a path is
    /// refused (`Errno.notPermitted`). Throws `SocketError`; `.misuse` for a backlog below 1. Corresponds to `socket(2)`,
    /// `bind(2)` and `listen(2)`.
    public convenience init(
        on endpoint: String, backlog: Int? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(on: Endpoint.parsed(endpoint, for: .bind), backlog: backlog, duplex: duplex, trace: trace)
    }

    /// Listens on an endpoint; see `init(on: String)`.
    public convenience init(
        on endpoint: Endpoint, backlog: Int? = nil, duplex: Duplex? = nil, trace: Trace? = nil
    ) throws(SocketError) {
        // All that the words alone can get wrong comes before there is anything to undo.
        let length: Int
        if let backlog { length = backlog } else { length = try endpoint.backlog }
        if let wrong = SocketError.Cause.refusing("backlog", length) {
            throw SocketError(.listen, wrong, target: "\(endpoint)")
        }
        try self.init(bound: endpoint, duplex: duplex, trace: trace)
        try listen(backlog: length)
    }

    /// Binds to an endpoint without listening yet: a client that connects now is refused. `listen(backlog:)` opens it.
    ///
    /// Never waits; throws as `init(on:)` does. Corresponds to `socket(2)` and `bind(2)`.
    public init(bound endpoint: Endpoint, duplex: Duplex? = nil, trace: Trace? = nil) throws(SocketError) {
        let rule = try endpoint.duplex(or: duplex)
        let made = try Binding.make(endpoint, .stream, trace: trace)
        self.trace = trace
        self.duplex = rule
        address = made.address
        path = made.path
        isAdopted = false
        waitable = made.waitable
    }

    /// Takes over a listening stream socket that was made elsewhere, and makes it non-blocking and close-on-exec. From then
    /// on it is this listener's to close, unless this throws. A Unix path stays when it closes.
    ///
    /// Never waits. Throws when it is no stream socket, or has no address. Corresponds to `fcntl(2)`.
    public init(adopting descriptor: CInt, duplex: Duplex = .full, trace: Trace? = nil) throws(SocketError) {
        do throws(Errno) {
            address = try adopt(descriptor) { (fd) throws(Errno) in try System.localAddress(fd) }
        } catch {
            throw SocketError(.adopt, .system(error), target: "descriptor \(descriptor)")
        }
        self.trace = trace
        self.duplex = duplex
        path = nil
        isAdopted = true
        waitable = Waitable(Descriptor(owning: descriptor), shortReadsDrain: false)
        waitable.markShared()
    }

    deinit { close() }

    /// Throws what `init(on:)` would throw for the endpoint's words alone, without touching the system.
    package static func check(_ endpoint: Endpoint) throws(SocketError) {
        _ = try Binding.target(of: endpoint, for: .stream)
    }

    /// Lets clients connect; up to `backlog` of them queue until they are accepted. May be called again with another number.
    ///
    /// Never waits. Throws `.misuse` for a backlog below 1, `.closed` after `close()`, and `.system` when another socket
    /// listens there. Corresponds to `listen(2)`.
    public func listen(backlog: Int = Listener.defaultBacklog) throws(SocketError) {
        if let wrong = SocketError.Cause.refusing("backlog", backlog) { throw error(.listen, wrong) }
        do throws(Errno) {
            let done: Void? = try waitable.use { (fd) throws(Errno) in
                try System.listen(fd, backlog: CInt(clamping: backlog))
            }
            if done == nil { throw Errno.badFileDescriptor }
        } catch .badFileDescriptor {
            throw error(.listen, .closed)
        } catch {
            throw self.error(.listen, .system(error))
        }
        trace?.tell(.listening(backlog: backlog), of: waitable.rawValue, address)
    }

    /// The endpoint to connect to, from a program on this machine; `fd:` and the descriptor's number where no endpoint can
    /// name the address, such as an abstract name with zero bytes.
    public var endpoint: Endpoint {
        let isUnix = if case .unix = address { true } else { false }
        return Endpoint(of: waitable.rawValue, isUnix ? .unix : .tcp, at: address)
    }

    /// How the socket looks to the kernel now; nil after `close()`.
    public var socketDescription: SocketDescription? {
        (try? waitable.use { SocketDescription(of: $0) }) ?? nil
    }

    /// Until when accepting may wait; a change takes effect on waits under way. See `Connection.receiveDeadline`.
    public var acceptDeadline: Deadline {
        get { waitable.deadline(.receive) }
        set { waitable.setDeadline(newValue, .receive) }
    }

    /// Whether `close()` was called.
    public var isClosed: Bool { waitable.isClosed }

    /// Stops accepting, frees the address, and removes the file of a Unix listener if it is still its own. Idempotent, and
    /// safe from any thread.
    ///
    /// Never waits. An accept under way fails with `.closed`; a `serve` lets its clients finish and returns. Clients that
    /// were still queueing see a reset. Corresponds to `close(2)`.
    public func close() {
        // Before the socket goes: whoever then finds no file makes his own, and ours cannot be his.
        if !waitable.isClosed { path?.remove() }
        let closed: Bool? = try? waitable.use { fd in
            let isFirst = waitable.close()
            // An accept under way keeps the descriptor for a moment: who connects in it is refused, not reset later. A
            // socket that others hold too is theirs to go on with.
            if isFirst, !isAdopted { try? System.shutdown(fd, how: CInt(SHUT_RDWR)) }
            return isFirst
        }
        if closed == true { trace?.tell(.closed, of: waitable.rawValue, address) }
        for clients in servers.withLock({ $0 }) { clients.ring() }
    }
}

extension Listener: DrivenSocket {
    var who: SocketAddress { address }

    func error(_ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
        SocketError(operation, cause, local: address)
    }
}

extension Endpoint {
    /// The `backlog` parameter, or the default.
    var backlog: Int {
        get throws(SocketError) {
            guard let written = self["backlog"] else { return Listener.defaultBacklog }
            guard let number = strictNumber(written.value.utf8), let backlog = CInt(exactly: number), backlog > 0 else {
                throw refused(.listen, "backlog is a number above 0, such as 128", at: written)
            }
            return Int(backlog)
        }
    }
}
