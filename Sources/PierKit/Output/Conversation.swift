internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization

/// One connection of which something is told: its messages are shown, or counted and reported.
final class Conversation: ClientStream {
    let connection: Connection
    let account: Account
    private let shown: Shown?
    private let isStopped = Atomic<Bool>(false)

    /// `given` is what the peer is called, where it has no address of its own.
    init(
        _ connection: Connection, named given: String? = nil, _ report: Report, show: Show = .none,
        _ output: Sink? = nil
    ) {
        self.connection = connection
        let name = given ?? connection.peerName
        account = Account(name, report)
        shown = output.flatMap { Shown(name, show, $0) }
    }

    var isToEnd: Bool { isStopped.load(ordering: .acquiring) || connection.isToEnd }
    var receiveDeadline: Deadline {
        get { connection.receiveDeadline }
        set { connection.receiveDeadline = newValue }
    }

    // MARK: In a task

    func receive(upTo count: Int) async throws(SocketError) -> [UInt8]? {
        let message = try await connection.receive(upTo: count)
        await took(message)
        return message
    }

    /// Tells of a message that was received, or with nil that the peer has finished.
    @inline(never)
    func took(_ message: [UInt8]?) async {
        account.note(received: message)
        if let shown, let message { await shown.show(message) }
    }

    func send(_ bytes: [UInt8]) async throws(SocketError) {
        do throws(SocketError) {
            try await connection.send(bytes)
        } catch {
            throw noted(error)
        }
        account.note(sent: bytes.count)
    }

    /// Counts what a failed send had sent.
    @inline(never)
    private func noted(_ error: SocketError) -> SocketError {
        if error.bytesSent > 0 { account.note(sent: error.bytesSent) }
        return error
    }

    // MARK: In a thread

    @available(*, noasync)
    func receive(upTo count: Int) throws(SocketError) -> [UInt8]? {
        let message = try connection.receive(upTo: count)
        account.note(received: message)
        if let shown, let message { shown.showBlocking(message) }
        return message
    }

    @available(*, noasync)
    func send(_ bytes: [UInt8]) throws(SocketError) {
        do throws(SocketError) {
            try connection.send(bytes)
        } catch {
            throw noted(error)
        }
        account.note(sent: bytes.count)
    }

    /// The same; `sent` is how many of the bytes the system took, also where this throws.
    @available(*, noasync)
    func send(_ bytes: [UInt8], sent: inout Int) throws(SocketError) {
        do throws(SocketError) {
            try connection.send(bytes.span.bytes, sent: &sent)
        } catch {
            throw noted(error)
        }
        account.note(sent: sent)
    }

    func finishSending() throws(SocketError) {
        try account.finished { () throws(SocketError) in try connection.finishSending() }
    }

    func close() { connection.close() }

    /// Has the peer's words end, and who only speaks to it leave off.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        try? connection.stopReceiving()
    }

    func connected(since start: Deadline) { account.connected(from: try? connection.localAddress, since: start) }
}

extension SocketAddress {
    /// What a person calls a sender of datagrams.
    var senderName: String { self == .unnamed ? "unix-dgram" : "\(self)" }
}

extension Connection {
    /// What a person calls the peer: its address, or for an unnamed Unix client its process.
    var peerName: String {
        guard remoteAddress == .unnamed else { return "\(remoteAddress)" }
        return (try? peerCredentials).map { "unix(pid=\($0.process))" } ?? "unix"
    }
}
