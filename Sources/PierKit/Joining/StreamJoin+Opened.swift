internal import Loops
internal import SocketCore
internal import Sockets

// What is at the other end where it was opened here: a program that was started, or a file, a pipe or a terminal. Its end
// is the stream's end; after that nothing of it stays, and how it ended is told.

extension StreamJoin {
    /// Opens what is there already, or starts it. Never waits, but for a program to begin.
    convenience init(opening endpoint: Endpoint, _ input: StandardInput, _ rules: JoinRules) throws(Failure) {
        let start = Deadline.now
        let opened: OpenedStream
        do throws(SocketError) {
            opened = try Connection.open(
                endpoint, file: rules.fileAccess(endpoint), duplex: rules.wireDuplex, trace: rules.report.trace)
            try opened.connection.setKeepAlive(after: rules.keepAlive)
        } catch {
            throw Failure(error)
        }
        let conversation = Conversation(opened.connection, named: opened.peerName, rules.report)
        conversation.connected(since: start)
        self.init(conversation, opened: opened, input, rules)
    }

    /// The program at the other end, if one was started.
    var program: ChildProcess? { opened?.program }

    /// Closes the stream. A program that still has something to say finds that nobody reads it any more, as in a shell's
    /// pipeline, and no reset; for that, nothing of it may be left unread. For the thread that receives.
    func hangUp() {
        guard decide() else { return }
        defer { conversation.close() }
        let connection = conversation.connection
        guard program != nil, (try? connection.stopReceiving()) != nil else { return }
        // From now on this is what had come, and then the end.
        connection.receiveDeadline = .never
        while let rest = try? connection.receive(upTo: 65536), !rest.isEmpty {}
    }

    /// Leaves nothing of what was opened: a file is written to its end, and a program has ended. Throws why it did not end
    /// well, unless it was this side that stopped.
    func finishOpened() throws(Failure) {
        guard let opened else { return }
        // Without a limit: as long as can be counted.
        let (began, grace) = (Deadline.now, rules.grace ?? .forEver)
        let status: ChildProcess.ExitStatus?
        do throws(SocketError) { status = try opened.finish(within: grace) } catch { throw Failure(error) }
        guard let status else { return }
        account.closed(nil, status)
        guard status != .exited(0), !hasStopped else { return }
        let wasEnded = grace > .zero && Deadline.now.nanoseconds &- began.nanoseconds >= grace.clampedNanoseconds
        throw Failure(.failed, wasEnded ? status.saidOfEnded(account.name, grace) : status.said(of: account.name))
    }
}
