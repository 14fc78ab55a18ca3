internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization

/// One connection of which something is told: its messages are shown, or counted and reported.
final class Conversation: ClientStream {
    let connection: Connection
    /// What a person calls the peer.
    let name: String
    /// Nil where only messages are shown.
    private let report: Report?
    private let number: Int
    private let shown: Shown?
    private let began = Deadline.now
    private let receivedBytes = Atomic<Int>(0)
    private let sentBytes = Atomic<Int>(0)
    private let messageCount = Atomic<Int>(0)
    private let isClosed = Atomic<Bool>(false)

    init(_ connection: Connection, _ report: Report, show: Show = .none, _ output: Sink? = nil) {
        self.connection = connection
        let name = connection.peerName
        self.name = name
        self.report = report.isTelling ? report : nil
        number = report.number()
        shown = output.flatMap { Shown(name, show, $0) }
    }

    var listener: Listener? { connection.listener }
    var receiveDeadline: Deadline {
        get { connection.receiveDeadline }
        set { connection.receiveDeadline = newValue }
    }

    var received: Int { receivedBytes.load(ordering: .relaxed) }
    var sent: Int { sentBytes.load(ordering: .relaxed) }
    var messages: Int { messageCount.load(ordering: .relaxed) }

    /// What every event of it begins with.
    var members: [EventMember] { [("connection", .integer(number)), ("peer", .string(name))] }
    var counts: [EventMember] { [("received", .integer(received)), ("sent", .integer(sent))] }

    // MARK: In a task

    func receive(upTo count: Int) async throws(SocketError) -> [UInt8]? {
        let message = try await connection.receive(upTo: count)
        note(received: message)
        if let shown, let message { await shown.show(message) }
        return message
    }

    func send(_ bytes: [UInt8]) async throws(SocketError) {
        try await connection.send(bytes)
        note(sent: bytes.count)
    }

    // MARK: In a thread

    @available(*, noasync)
    func receive(upTo count: Int) throws(SocketError) -> [UInt8]? {
        let message = try connection.receive(upTo: count)
        note(received: message)
        if let shown, let message { shown.showBlocking(message) }
        return message
    }

    @available(*, noasync)
    func send(_ bytes: [UInt8]) throws(SocketError) {
        try connection.send(bytes)
        note(sent: bytes.count)
    }

    func finishSending() throws(SocketError) {
        try connection.finishSending()
        report?.finished(self, by: "self")
    }

    func close() { connection.close() }

    // MARK: What is told

    private func note(received message: [UInt8]?) {
        guard let message else {
            report?.finished(self, by: "peer")
            return
        }
        receivedBytes.add(message.count, ordering: .relaxed)
        messageCount.add(1, ordering: .relaxed)
        report?.received(self, message.count)
    }

    private func note(sent count: Int) {
        sentBytes.add(count, ordering: .relaxed)
        report?.sent(self, count)
    }

    func accepted(on endpoint: String) { report?.accepted(self, on: endpoint) }

    func connected(since start: Deadline) {
        guard let report else { return }
        let local = (try? connection.localAddress).flatMap { $0 == .unnamed ? nil : "\($0)" }
        let taken = Deadline.now.nanoseconds &- start.nanoseconds
        report.connected(self, from: local, after: .nanoseconds(Int64(clamping: taken)))
    }

    func reset() { report?.reset(self) }

    /// That it was closed, and what went wrong before if something did; told once.
    func closed(_ error: SocketError? = nil) {
        guard let report, !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        if let error { report.failed(self, error) }
        let taken = Deadline.now.nanoseconds &- began.nanoseconds
        report.closed(self, after: .nanoseconds(Int64(clamping: taken)))
    }
}

extension Connection {
    /// What a person calls the peer: its address, or for an unnamed Unix client its process.
    var peerName: String {
        guard remoteAddress == .unnamed else { return "\(remoteAddress)" }
        return (try? peerCredentials).map { "unix(pid=\($0.process))" } ?? "unix"
    }
}
