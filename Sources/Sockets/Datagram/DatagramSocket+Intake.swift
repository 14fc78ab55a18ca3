internal import Loops
internal import SocketCore
internal import SystemPackage

// What all servers of datagrams share: one task that receives batch after batch, until it is stopped.

/// Whoever serves a socket's datagrams.
protocol DatagramServing: AnyObject, Sendable {
    /// Whether it is to receive no more.
    var isOver: Bool { get }
    /// No more is received, and what is under way comes to its end. From any thread.
    func stop()
    /// No more senders, and an end for those that there are when each has been silent for so long. From any thread.
    func finish(afterSilence silence: Duration)
}

extension DatagramSocket {
    /// Runs a server on a loop, as the only one of this socket; cancelling the task stops it. Throws why it failed.
    func whileServed(
        by server: some DatagramServing, on loop: EventLoop, _ run: @Sendable () async -> SocketError?
    ) async throws(SocketError) {
        let isFirst = self.server.withLock { current in
            guard current == nil else { return false }
            current = server
            return true
        }
        guard isFirst else { throw error(.receive, .misuse("this socket is being served already")) }
        defer { self.server.withLock { $0 = nil } }
        let failure = await withTaskCancellationHandler {
            await withTaskExecutorPreference(loop) { await run() }
        } onCancel: {
            server.stop()
        }
        if let failure { throw failure }
    }

    /// Receives until the socket is closed or the server stopped, the task is cancelled, or it can never work again; then
    /// why, unless it was one of the first two. `take` gets each datagram, and `finishBatch` is called when those that came
    /// together have been taken; how many they were, it is told.
    func receiveBatches(
        for server: some DatagramServing, _ take: (Datagram) -> Void, finishBatch: (Int) async -> Void
    ) async -> SocketError? {
        var failure: SocketError?
        while failure == nil, !server.isOver {
            do throws(SocketError) {
                await finishBatch(try await receiveBatch(take))
            } catch {
                switch error.cause {
                case .closed, .cancelled: server.stop()
                case .system(let errno) where errno.isOfASentDatagram: continue
                // It passes.
                case .system(let errno) where errno.isShortage: try? await EventLoop.sleep(for: .milliseconds(5))
                default: failure = error
                }
            }
        }
        server.stop()
        return failure
    }

    /// Receives all that one system call gets, at least one datagram, and hands each on.
    func receiveBatch(_ take: (Datagram) -> Void) async throws(SocketError) -> Int {
        try await perform(.receive, .receive, outcome: { .datagrams($0) }) { (fd) throws(Errno) in
            var count = 0
            while let held = ahead.take(upTo: .max) {
                take(held)
                count += 1
            }
            if count > 0 { return .done(count) }
            return try attemptReceiveBatch(fd) { received in take(Datagram(received, upTo: .max)) }
        }
    }
}
