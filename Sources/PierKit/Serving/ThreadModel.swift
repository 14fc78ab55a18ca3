internal import Loops
internal import Sockets
internal import SocketCore

/// `--model blocking`: the tutorial's server, one client at a time; the others queue.
struct BlockingModel {
    let server: Server

    func start(
        _ opened: Opened, ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        let left = Countdown(opened.count, ended)
        for (socket, settings) in opened.sockets { answerLoop(server, socket, settings, left) }
        for (stream, settings) in opened.clients { server.serveAloneBlocking(stream, settings, left) }
        for (listener, settings) in opened.listeners {
            acceptLoop(server, listener, left) {
                { connection in if let connection { serveBlocking(connection, settings, server) } }
            }
        }
    }
}

/// `--model threads`: a thread for each client, up to a stated number; more queue.
struct ThreadModel {
    let server: Server

    func start(
        _ opened: Opened, ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        let left = Countdown(opened.count, ended)
        let server = server
        for (socket, settings) in opened.sockets { answerLoop(server, socket, settings, left) }
        for (stream, settings) in opened.clients { server.serveAloneBlocking(stream, settings, left) }
        for (listener, settings) in opened.listeners {
            let places = Places(settings.maxClients)
            server.atStop { places.ring() }
            acceptLoop(server, listener, left) { () throws(SocketError) in
                places.take(unless: { listener.isClosed }, whenNone: { server.tellFull(listener, settings) })
                do throws(SocketError) {
                    let worker = try Worker { connection in
                        if let connection {
                            serveBlocking(connection, settings, server)
                            left.end(nil)
                        }
                        places.giveBack()
                    }
                    return { connection in
                        if connection != nil { left.begin() }
                        worker.give(connection)
                    }
                } catch {
                    places.giveBack()
                    throw error
                }
            }
        }
    }
}

/// The thread of one client. It is there, with the descriptor that it needs to wait, before its client is accepted: who
/// comes when there are no threads or descriptors left stays in the listener's queue.
private final class Worker: Sendable {
    private let state = Lock<(client: Connection?, failure: Errno?)>((nil, nil))
    private let canWait = Bell()
    private let hasClient = Bell()

    /// Starts a thread that runs `serve` with the client that it is given, or with none.
    init(_ serve: @escaping @Sendable (Connection?) -> Void) throws(SocketError) {
        do throws(Errno) {
            // The first wait of a thread makes what it waits by; so that of the calling thread cannot fail further down.
            _ = try canWait.waitBlocking(until: .after(.zero))
            guard Threads.start("client", { self.run(serve) }) else { throw Errno.resourceTemporarilyUnavailable }
            _ = try canWait.waitBlocking(until: .never)
            if let failure = state.withLock({ $0.failure }) { throw failure }
        } catch {
            throw SocketError(.accept, .system(error))
        }
    }

    private func run(_ serve: (Connection?) -> Void) {
        do throws(Errno) {
            _ = try hasClient.waitBlocking(until: .after(.zero))
        } catch {
            state.withLock { $0.failure = error }
            return canWait.ring()
        }
        canWait.ring()
        hasClient.waitBlockingAnyway(until: .never)
        serve(state.withLock { $0.client })
    }

    func give(_ client: Connection?) {
        state.withLock { $0.client = client }
        hasClient.ring()
    }
}

/// One client, from its first byte to its close, on the calling thread.
private func serveBlocking(_ connection: Connection, _ settings: Serve.Settings, _ server: Server) {
    connection.idleTimeout = settings.idleTimeout
    let client = server.conversation(connection, settings)
    do throws(SocketError) {
        try server.service.type.serve(client, upTo: settings.receiveSize)
        connection.finishAndClose()
        client.account.closed()
    } catch {
        // It ends this client only; the trace has told it. The client may have got a part only.
        connection.abort()
        client.account.closed(error)
    }
}

/// Accepts on a thread of its own until the listener is closed. `prepare` makes ready for one client, and gives who takes
/// it; or takes none, when there will be no other.
private func acceptLoop(
    _ server: Server, _ listener: Listener, _ left: Countdown,
    prepare: @escaping @Sendable () throws(SocketError) -> (Connection?) -> Void
) {
    let isStarted = Threads.start("accept") {
        var shortage = Shortage()
        var taker: ((Connection?) -> Void)?
        defer { taker?(nil) }
        while true {
            do throws(SocketError) {
                let take: (Connection?) -> Void
                if let ready = taker { take = ready } else { take = try prepare() }
                taker = take
                let connection = try listener.accept()
                taker = nil
                shortage = Shortage()
                take(connection)
            } catch {
                switch error.cause {
                case .closed:
                    return left.end(nil)
                case .system(let errno) where errno.isShortage || errno == .resourceTemporarilyUnavailable:
                    if listener.isClosed { return left.end(nil) }
                    if shortage.isNew { server.tellShortage(error) }
                    Bell.pauseThread(for: shortage.pause())
                default:
                    return left.end(error)
                }
            }
        }
    }
    if !isStarted { left.end(SocketError(.accept, .system(.resourceTemporarilyUnavailable))) }
}

/// Places for clients: the accept loop waits for one before it accepts.
private final class Places: Sendable {
    private let free: Lock<Int>
    private let bell = Bell()

    init(_ count: Int) { free = Lock(count) }

    func take(unless isOver: () -> Bool, whenNone tell: () -> Void) {
        while true {
            let isTaken = free.withLock { free in
                guard free > 0 else { return false }
                free -= 1
                return true
            }
            if isTaken || isOver() { return }
            tell()
            bell.waitBlockingAnyway(until: .never)
        }
    }

    /// Has the accept loop look whether its listener was closed.
    func ring() { bell.ring() }

    func giveBack() {
        free.withLock { $0 += 1 }
        bell.ring()
    }
}
