import Sockets
import SystemPackage
import TestSupport
import Testing

/// A Unix receiver keeps ten datagrams (net.unix.max_dgram_qlen), and nobody can be polled for its room.
@Suite("D8: a Unix receiver whose queue is full", .inTurn)
struct DatagramFullQueueTests {
    /// Who sends into the full queue: a socket connected to the receiver, or one that is bound and names it.
    enum Sender: String, CaseIterable { case connected, bound }

    /// A receiver whose queue is full, who sends to it, and to which address.
    struct Crowd {
        let receiver: DatagramSocket
        let sender: DatagramSocket
        let address: SocketAddress?
        let queued: Int
        let others: [DatagramSocket]

        func close() { for socket in [receiver, sender] + others { socket.close() } }
    }

    private func crowd(_ kind: DatagramKind, _ how: Sender) async throws -> Crowd {
        let (filler, receiver) = try await datagramPair(kind)
        let sender =
            switch how {
            case .connected: try await DatagramSocket(to: receiver.endpoint)
            case .bound: try DatagramSocket(on: kind.endpoint)
            }
        let queued = filler.fillPeer()
        #expect(queued >= 10)
        return Crowd(
            receiver: receiver, sender: sender, address: how == .bound ? try receiver.localAddress : nil,
            queued: queued, others: [filler])
    }

    private static let ways = Sender.allCases.flatMap { how in Face.allCases.map { (how, $0) } }

    @Test(arguments: DatagramKind.unix, ways)
    func aSendWaitsAndGoesOnWhenItIsRead(_ kind: DatagramKind, _ way: (Sender, Face)) async throws {
        try await trial { ledger in
            let crowd = try await crowd(kind, way.0)
            let sent = Counter()
            async let sending: Void = {
                for number in 0..<30 as Range<UInt8> {
                    try await crowd.sender.send([number, 1], to: crowd.address, by: way.1)
                    sent.add()
                }
            }()
            try await ledger.sees(.sendDatagrams)
            #expect(sent.value == 0)
            for number in 0..<crowd.queued {
                #expect(try await crowd.receiver.receive(by: way.1).bytes == [UInt8(number), 0x2e])
            }
            for number in 0..<30 as Range<UInt8> {
                #expect(try await crowd.receiver.receive(by: way.1).bytes == [number, 1])
            }
            try await sending
            crowd.close()
        }
    }

    @Test(arguments: DatagramKind.unix, ways)
    func aDeadlineEndsTheWait(_ kind: DatagramKind, _ way: (Sender, Face)) async throws {
        try await trial { _ in
            let crowd = try await crowd(kind, way.0)
            let start = ContinuousClock.now
            crowd.sender.sendDeadline = .after(.milliseconds(80))
            let ended = try await cause { try await crowd.sender.send([9], to: crowd.address, by: way.1) }
            #expect(ended == .timedOut)
            #expect(ContinuousClock.now - start >= .milliseconds(80))
            #expect(ContinuousClock.now - start < patience)
            crowd.sender.sendDeadline = .never
            crowd.sender.idleTimeout = .milliseconds(50)
            let silent = try await cause { try await crowd.sender.send([9], to: crowd.address, by: way.1) }
            #expect(silent == .timedOut)
            // It was not sent after all.
            for _ in 0..<crowd.queued { _ = try await crowd.receiver.receive() }
            try await crowd.sender.send([5], to: crowd.address, by: way.1)
            #expect(try await crowd.receiver.receive().bytes == [5])
            crowd.close()
        }
    }

    @Test(arguments: DatagramKind.unix, Sender.allCases)
    func cancellingEndsTheWait(_ kind: DatagramKind, _ how: Sender) async throws {
        try await trial { ledger in
            let crowd = try await crowd(kind, how)
            let sending = Task { try await cause { try await crowd.sender.send([9], to: crowd.address) } }
            try await ledger.sees(.sendDatagrams)
            sending.cancel()
            #expect(try await sending.value == .cancelled)
            _ = try await crowd.receiver.receive()
            try await crowd.sender.send([5], to: crowd.address)
            for _ in 1..<crowd.queued { _ = try await crowd.receiver.receive() }
            #expect(try await crowd.receiver.receive().bytes == [5])
            crowd.close()
        }
    }

    @Test(arguments: DatagramKind.unix, ways)
    func closingTheSenderEndsTheWait(_ kind: DatagramKind, _ way: (Sender, Face)) async throws {
        try await trial { ledger in
            let crowd = try await crowd(kind, way.0)
            async let ended = cause { try await crowd.sender.send([9], to: crowd.address, by: way.1) }
            try await ledger.sees(.sendDatagrams)
            crowd.sender.close()
            #expect(try await ended == .closed)
            crowd.close()
        }
    }

    @Test(arguments: DatagramKind.unix, ways)
    func aReceiverThatGoesEndsTheWait(_ kind: DatagramKind, _ way: (Sender, Face)) async throws {
        try await trial { ledger in
            let crowd = try await crowd(kind, way.0)
            async let ended = cause { try await crowd.sender.send([9], to: crowd.address, by: way.1) }
            try await ledger.sees(.sendDatagrams)
            crowd.receiver.close()
            let told = try await ended
            #expect(told == .system(.connectionRefused) || told == .system(.noSuchFileOrDirectory))
            crowd.close()
        }
    }

    @Test(arguments: DatagramKind.unix, Face.allCases)
    func itHoldsUpNeitherOtherReceiversNorTheSendersReceives(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { ledger in
            let crowd = try await crowd(kind, .bound)
            let other = try DatagramSocket(on: kind.endpoint)
            let (otherAddress, own) = (try other.localAddress, try crowd.sender.localAddress)
            let sent = Counter()
            async let sending: Void = {
                try await crowd.sender.send([9], to: crowd.address, by: face)
                sent.add()
            }()
            try await ledger.sees(.sendDatagrams)
            for round in 0..<20 as Range<UInt8> {
                try await crowd.sender.send([round], to: otherAddress, by: face)
                #expect(try await other.receive(by: face).bytes == [round])
                try await other.send([round, 1], to: own, by: face)
                #expect(try await crowd.sender.receive(by: face).bytes == [round, 1])
            }
            #expect(sent.value == 0)
            for _ in 0..<crowd.queued { _ = try await crowd.receiver.receive() }
            #expect(try await crowd.receiver.receive().bytes == [9])
            try await sending
            other.close()
            crowd.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aPairsEndWaitsToo(_ face: Face) async throws {
        try await trial { ledger in
            let (one, other) = try DatagramSocket.pair()
            let queued = one.fillPeer()
            async let sending: Void = one.send([9], by: face)
            try await ledger.sees(.sendDatagrams)
            for _ in 0..<queued { _ = try await other.receive(by: face) }
            #expect(try await other.receive(by: face).bytes == [9])
            try await sending
            one.close()
            other.close()
        }
    }

    /// A client that asks and never reads its answers must not stop a server's answers to others.
    @Test(arguments: DatagramKind.unix)
    func anAnswerThatNobodyReadsIsGivenUp(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let failures = Notes<SocketError.Cause>()
            let serving = Task {
                try await server.serve(onError: { _, error in
                    if let error = error as? SocketError { failures.add(error.cause) }
                }) { session in
                    while let message = try await session.receive() { try await session.send(message) }
                }
            }
            // Unread answers are charged to the server's socket, so this one alone can take up all of its room.
            let deaf = try await DatagramSocket(to: server.endpoint)
            let asking = Task { while true { try await deaf.send([UInt8](repeating: 1, count: 500)) } }
            try await failures.waits("giving up") { $0 == .timedOut }
            asking.cancel()
            deaf.close()
            let reader = try await DatagramSocket(to: server.endpoint)
            try await reader.send([2])
            #expect(try await within { try await reader.receive() }.bytes == [2])
            reader.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: DatagramKind.unix)
    func itHoldsUpNoOtherSession(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let serving = Task { try await server.serve(echoDatagrams) }
            let rude = try await DatagramSocket(to: server.endpoint)
            for number in 0..<40 as Range<UInt8> { try await rude.send([number]) }
            let client = try await DatagramSocket(to: server.endpoint)
            for round in 0..<20 as Range<UInt8> {
                try await client.send([round])
                #expect(try await client.receive().bytes == [round])
            }
            // It reads at last, and nothing is missing.
            for number in 0..<40 as Range<UInt8> { #expect(try await rude.receive().bytes == [number]) }
            rude.close()
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }
}
