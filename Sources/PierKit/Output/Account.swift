internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization

/// What is known and told of one peer: how much went each way, from when to when, over a connection or in datagrams.
final class Account: Sendable {
    /// What a person calls the peer.
    let name: String
    /// Nil where nothing is told of single peers.
    private let report: Report?
    private let number: Int
    /// The client for which this side has connected, if it has.
    private let client: Account?
    private let began = Deadline.now
    private let receivedBytes = Atomic<Int>(0)
    private let sentBytes = Atomic<Int>(0)
    private let messageCount = Atomic<Int>(0)
    private let lostCount = Atomic<Int>(0)
    /// What has been told of its end. Held while anything is told, so that nothing comes after that.
    private let end = Lock((isClosed: false, wasReset: false, isCut: false))

    init(_ name: String, _ report: Report, of client: Account? = nil) {
        self.name = name
        self.client = client
        self.report = report.isTelling ? report : nil
        number = report.number(isClient: client == nil)
    }

    var received: Int { receivedBytes.load(ordering: .relaxed) }
    var sent: Int { sentBytes.load(ordering: .relaxed) }
    var messages: Int { messageCount.load(ordering: .relaxed) }
    /// How many of its datagrams are known not to have arrived on the other side of a relay.
    var lost: Int { lostCount.load(ordering: .relaxed) }

    /// What every event of it begins with.
    var members: [EventMember] {
        [("connection", .integer(number)), ("peer", .string(name))]
            + (client.map { [("client", .integer($0.number))] } ?? [])
    }
    var counts: [EventMember] { [("received", .integer(received)), ("sent", .integer(sent))] }

    // MARK: Reporting the end

    /// That bytes came, or with nil that the peer has finished.
    func note(received message: [UInt8]?) {
        end.withLock { end in
            if end.isClosed { return }
            guard let message else {
                report?.finished(self, by: "peer")
                return
            }
            receivedBytes.add(message.count, ordering: .relaxed)
            messageCount.add(1, ordering: .relaxed)
            report?.received(self, message.count)
        }
    }

    func note(sent count: Int) {
        end.withLock { end in
            if end.isClosed { return }
            sentBytes.add(count, ordering: .relaxed)
            report?.sent(self, count)
        }
    }

    /// What a relay has received and sent here. The totals are of what clients sent and were sent.
    func note(relayed received: Relay.Flow, _ sent: Relay.Flow) {
        receivedBytes.store(Int(clamping: received.bytes), ordering: .relaxed)
        messageCount.store(Int(clamping: received.messages), ordering: .relaxed)
        sentBytes.store(Int(clamping: sent.bytes), ordering: .relaxed)
        if client == nil { report?.count(received: received, sent: sent) }
    }

    /// What a relay of datagrams has received and sent here, and how many of those that came are lost.
    func note(relayed received: DatagramRelay.Flow, _ sent: DatagramRelay.Flow, lost: UInt64) {
        receivedBytes.store(Int(clamping: received.received), ordering: .relaxed)
        messageCount.store(Int(clamping: received.messages), ordering: .relaxed)
        sentBytes.store(Int(clamping: sent.bytes), ordering: .relaxed)
        lostCount.store(Int(clamping: lost), ordering: .relaxed)
        if client == nil { report?.count(received: received, sent: sent) }
    }

    /// How many datagrams are lost, where none went on.
    func note(lost count: Int) { lostCount.store(count, ordering: .relaxed) }

    /// A datagram that shares its output with others': it is not told by itself.
    func note(collected bytes: Int, isLost: Bool) {
        receivedBytes.add(bytes, ordering: .relaxed)
        messageCount.add(1, ordering: .relaxed)
        if isLost { lostCount.add(1, ordering: .relaxed) }
        report?.count(collected: bytes)
    }

    func accepted(on endpoint: String) { report?.accepted(self, on: endpoint) }

    func connected(from local: SocketAddress?, since start: Deadline) {
        guard let report else { return }
        let taken = Deadline.now.nanoseconds &- start.nanoseconds
        let source = local.flatMap { $0 == .unnamed ? nil : "\($0)" }
        report.connected(self, from: source, after: .nanoseconds(Int64(clamping: taken)))
    }

    /// That this side has finished, which it does by `finish`: told before anything with which the peer may answer it, be it
    /// his own end and with it the end of all that is told.
    func finished(by finish: () throws(SocketError) -> Void) throws(SocketError) {
        try end.withLock { (end) throws(SocketError) in
            try finish()
            if !end.isClosed { report?.finished(self, by: "self") }
        }
    }

    /// That the peer reset it; both directions meet that.
    func reset() {
        end.withLock { end in
            if !end.wasReset, !end.isClosed { report?.reset(self) }
            end.wasReset = true
        }
    }

    /// A signal has ended it before its time.
    func wasCutShort() { end.withLock { $0.isCut = true } }

    /// That it was closed, and what went wrong before if something did; told once. `program` is how its program ended, where
    /// it is one.
    func closed(_ error: SocketError? = nil, _ program: ChildProcess.ExitStatus? = nil) {
        guard let report else { return }
        let taken = Deadline.now.nanoseconds &- began.nanoseconds
        end.withLock { end in
            if end.isClosed { return }
            if let error { report.failed(self, error) }
            report.closed(self, program, isCut: end.isCut, after: .nanoseconds(Int64(clamping: taken)))
            end.isClosed = true
        }
    }
}
