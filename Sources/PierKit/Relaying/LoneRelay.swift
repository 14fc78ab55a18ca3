internal import SocketCore
internal import Sockets
internal import Synchronization

/// A relay whose only client was there from the start, as `-`, a program or a file is: how a signal ends it.
///
/// What was read of the client is still delivered. If the client had not ended, the target sees a reset after that.
final class LoneRelay: Delivery, Sendable {
    private let report: Report
    private let joint = Lock<Joint?>(nil)
    private let hasStopped = Atomic<Bool>(false)

    init(_ report: Report) { self.report = report }

    func joined(_ joint: Joint) { self.joint.withLock { $0 = joint } }

    /// No more is read of the client. A terminal's input is whole where the user stops it.
    func stop(_ client: OpenedStream) {
        if !client.endsAtTerminal { hasStopped.store(true, ordering: .sequentiallyConsistent) }
        try? client.connection.stopReceiving()
    }

    /// Why the end of the client's stream is none, after a signal.
    var breakage: SocketError? {
        hasStopped.load(ordering: .sequentiallyConsistent) ? SocketError(.receive, .system(.interrupted)) : nil
    }

    /// Whether the target has all, and its end. A relay that is cut short ends by itself, when what was read has arrived.
    var isDelivered: Bool { joint.withLock { $0 }?.isDelivered ?? true }

    func tellDelivery(until deadline: Deadline) {
        guard let joint = joint.withLock({ $0 }) else { return }
        report.waitsForDelivery(to: joint.target.peerName, until: deadline)
    }

    func leave() -> Bool { true }

    /// Whether nothing is to be cut off any more.
    var isWhole: Bool { joint.withLock { $0 }?.isDelivered ?? false }
}
