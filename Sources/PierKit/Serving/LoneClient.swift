internal import Loops
internal import SocketCore
internal import Sockets

// A client that was there from the start, as a super-server, a pipe or a program is. It is served like any other, by the same
// services, and its end is the end of the command when there is nobody else to serve.

extension TaskModel {
    /// Serves a client that was there from the start, in this task.
    func serveAlone(_ stream: OpenedStream, _ settings: Serve.Settings) async {
        stream.connection.idleTimeout = settings.idleTimeout
        let client = server.conversation(stream, settings)
        server.atStop { client.stop() }
        var failure: SocketError?
        do throws(SocketError) {
            try await server.service.type.serve(client, upTo: settings.receiveSize)
            // What a bridge was sent is written out by its end.
            if stream.bridge == nil { await stream.connection.finishAndClose() }
        } catch {
            failure = error
            if !client.isToEnd, !stream.connection.isAtLibertyTo(error) { stream.cutShort() }
        }
        server.ended(stream, client, failure, await StreamEnd(of: stream, isWhole: failure == nil))
    }
}

extension Server {
    /// Serves a client that was there from the start, on a thread of its own.
    func serveAloneBlocking(_ stream: OpenedStream, _ settings: Serve.Settings, _ left: Countdown) {
        let isStarted = Threads.start("client") { [self] in
            stream.connection.idleTimeout = settings.idleTimeout
            let client = conversation(stream, settings)
            atStop { client.stop() }
            var failure: SocketError?
            do throws(SocketError) {
                try service.type.serve(client, upTo: settings.receiveSize)
                if stream.bridge == nil { stream.connection.finishAndClose() }
            } catch {
                failure = error
                if !client.isToEnd, !stream.connection.isAtLibertyTo(error) { stream.cutShort() }
            }
            ended(stream, client, failure, StreamEnd(blockingOf: stream, isWhole: failure == nil))
            left.end(nil)
        }
        if !isStarted { left.end(SocketError(.open, .system(.resourceTemporarilyUnavailable))) }
    }

    /// Tells how a client ended that was there from the start. Its failure is the command's where nobody else can come.
    fileprivate func ended(
        _ stream: OpenedStream, _ client: Conversation, _ failure: SocketError?, _ end: StreamEnd
    ) {
        programs.remove(stream)
        let own = failure.flatMap { client.isToEnd || stream.connection.isAtLibertyTo($0) ? nil : $0 }
        let reason = end.failure ?? own.map { stream.named($0) }
        client.account.closed(reason, end.program)
        if let reason {
            conclude(Failure(reason))
        } else if !client.isToEnd, let bad = stream.programFailure {
            conclude(bad)
        }
    }
}
