internal import Loops
internal import Sockets
internal import SocketCore

/// `--model blocking`: the tutorial's server, one client at a time; the others queue.
struct BlockingModel {
    let server: Server

    func start(
        _ listeners: [(Listener, Serve.Settings)], ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        let left = Countdown(listeners.count, ended)
        for (listener, settings) in listeners {
            acceptLoop(server, listener, left) { connection in
                serveBlocking(connection, settings, server)
            }
        }
    }
}

/// `--model threads`: a thread for each client, up to a stated number; more queue.
struct ThreadModel {
    let server: Server

    func start(
        _ listeners: [(Listener, Serve.Settings)], ended: @escaping @Sendable (SocketError?) -> Void
    ) {
        let left = Countdown(listeners.count, ended)
        let server = server
        for (listener, settings) in listeners {
            let places = Places(settings.maxClients)
            acceptLoop(server, listener, left, before: { places.take(unless: { listener.isClosed }) }) { connection in
                left.begin()
                let isStarted = Threads.start("client") {
                    serveBlocking(connection, settings, server)
                    places.giveBack()
                    left.end(nil)
                }
                if !isStarted {
                    server.tellShortage(SocketError(.accept, .system(.resourceTemporarilyUnavailable)))
                    connection.close()
                    places.giveBack()
                    left.end(nil)
                }
            }
        }
    }
}

/// One client, from its first byte to its close, on the calling thread.
private func serveBlocking(_ connection: Connection, _ settings: Serve.Settings, _ server: Server) {
    connection.idleTimeout = settings.idleTimeout
    do throws(SocketError) {
        try Echo.serveBlocking(connection, settings, server.output)
        connection.finishAndClose()
    } catch {
        // It ends this client only; the trace has told it.
        connection.close()
    }
}

/// Accepts on a thread of its own until the listener is closed; `body` gets each client.
private func acceptLoop(
    _ server: Server, _ listener: Listener, _ left: Countdown, before: @escaping @Sendable () -> Void = {},
    _ body: @escaping @Sendable (Connection) -> Void
) {
    let isStarted = Threads.start("accept") {
        var pause = Duration.milliseconds(5)
        while true {
            before()
            do throws(SocketError) {
                let connection = try listener.accept()
                pause = .milliseconds(5)
                body(connection)
            } catch {
                switch error.cause {
                case .closed:
                    return left.end(nil)
                case .system(let errno)
                where errno == .tooManyOpenFiles || errno == .tooManyOpenFilesInSystem
                    || errno == .noMemory || errno == .noBufferSpace:
                    if pause == .milliseconds(5) { server.tellShortage(error) }
                    _ = try? Bell().waitBlocking(until: .after(pause))
                    pause = min(pause * 2, .milliseconds(500))
                default:
                    return left.end(error)
                }
            }
        }
    }
    if !isStarted { left.end(SocketError(.accept, .system(.resourceTemporarilyUnavailable))) }
}

/// Counts what is still under way; tells the first error, or none, when nothing is.
private final class Countdown: Sendable {
    private let state: Lock<(count: Int, error: SocketError?)>
    private let ended: @Sendable (SocketError?) -> Void

    init(_ count: Int, _ ended: @escaping @Sendable (SocketError?) -> Void) {
        state = Lock((count, nil))
        self.ended = ended
    }

    func begin() { state.withLock { $0.count += 1 } }

    func end(_ error: SocketError?) {
        let (isLast, error) = state.withLock { state in
            state.count -= 1
            state.error = state.error ?? error
            return (state.count == 0 || error != nil, state.error)
        }
        if isLast { ended(error) }
    }
}

/// Places for clients: the accept loop waits for one before it accepts.
private final class Places: Sendable {
    private let free: Lock<Int>
    private let bell = Bell()

    init(_ count: Int) { free = Lock(count) }

    func take(unless isOver: () -> Bool) {
        while true {
            let isTaken = free.withLock { free in
                guard free > 0 else { return false }
                free -= 1
                return true
            }
            if isTaken || isOver() { return }
            // The listener's close has no bell of its own to ring here; half a second is soon enough to notice.
            _ = try? bell.waitBlocking(until: .after(.milliseconds(500)))
        }
    }

    func giveBack() {
        free.withLock { $0 += 1 }
        bell.ring()
    }
}
