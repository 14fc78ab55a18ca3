internal import Loops
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
    private let wasSignalled = Atomic<Bool>(false)
    private let loss = Lock<Failure?>(nil)

    init(_ report: Report) { self.report = report }

    /// Why the command fails: the target has not got all.
    var failure: Failure? { loss.withLock { $0 } }

    func joined(_ joint: Joint) { self.joint.withLock { $0 = joint } }

    // MARK: After the target's end

    private static let glance = Duration.milliseconds(50)
    private static let notice = Duration.seconds(1)

    /// Watches a target that has finished, until the client has: it may have closed altogether, which nothing tells while the
    /// client is silent. Then nothing more is read of the client.
    func targetHasFinished() {
        guard let joint = joint.withLock({ $0 }) else { return }
        let (relay, target) = (joint.relay, joint.target.connection)
        target.probeFinishedPeer()
        Task(executorPreference: EventLoop.current) { [self] in
            var (moved, since, isTold) = (relay.forth.bytes, Deadline.now, false)
            while !relay.hasEnded(from: relay.first) {
                guard (try? await EventLoop.sleep(for: Self.glance)) != nil else { return }
                if target.isGone {
                    countLost(joint)
                    return (try? relay.first.stopReceiving()) ?? ()
                }
                if relay.forth.bytes != moved {
                    (moved, since) = (relay.forth.bytes, .now)
                } else if !isTold, Deadline.now.nanoseconds &- since.nanoseconds > Self.notice.clampedNanoseconds {
                    isTold = true
                    report.note(
                        text(
                            "\(joint.target.peerName) has finished sending; waiting for more of the client, which is sent to it until it ends",
                            "\(joint.target.peerName) 已经发送完毕；正在等待客户端的更多内容，会一直发送到它结束"))
                }
            }
        }
    }

    /// Waits until a target that has finished has acknowledged all: it may be gone, and then this is the only sign.
    func settle() async {
        guard let joint = joint.withLock({ $0 }) else { return }
        let target = joint.target.connection
        guard joint.relay.hasEnded(from: joint.relay.second) else { return }
        var pause = Duration.milliseconds(1)
        while !target.isGone, joint.unacknowledged > 0 {
            guard (try? await EventLoop.sleep(for: pause)) != nil else { return }
            pause = min(pause * 2, .milliseconds(20))
        }
        countLost(joint)
    }

    private func countLost(_ joint: Joint) {
        // A program chooses how much of its input it reads.
        guard joint.target.program == nil else { return }
        let lost = joint.unacknowledged + joint.relay.first.waiting
        guard lost > 0 else { return }
        let words = text(
            "\(joint.target.peerName) ended before it had all: at least \(lost) bytes were not delivered",
            "\(joint.target.peerName) 在收到全部之前就结束了：至少还有 \(lost) 字节没有送达")
        loss.withLock { $0 = $0 ?? Failure(.failed, words) }
    }

    // MARK: A signal

    /// No more is read of the client. A terminal's input is whole where the user stops it.
    func stop(_ client: OpenedStream) {
        wasSignalled.store(true, ordering: .sequentiallyConsistent)
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

    /// Says how much went each way before a signal ended it.
    func tellCut() {
        guard wasSignalled.load(ordering: .sequentiallyConsistent), let joint = joint.withLock({ $0 }) else { return }
        let (sent, received) = (joint.relay.forth.bytes, joint.relay.back.bytes)
        report.note(
            text(
                "ended by a signal: \(sent) bytes were sent to \(joint.target.peerName), and \(received) came back",
                "被信号结束：向 \(joint.target.peerName) 发送了 \(sent) 字节，收回 \(received) 字节"))
    }
}
