import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// What a datagram server gives at most, to whomever.
@Suite(.inTurn) struct DatagramServingLimitTests {
    @Test(arguments: DatagramKind.allCases)
    func atTheLimitTheOneThatIsSilentForLongestMakesRoom(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let (begun, ended) = (Notes<SocketAddress>(), Notes<SocketAddress>())
            let serving = Task {
                try await server.serve(limit: 3) { session in
                    begun.add(session.remoteAddress)
                    try await echoDatagrams(session)
                    ended.add(session.remoteAddress)
                }
            }
            var clients: [DatagramSocket] = []
            for _ in 0..<5 { clients.append(try await DatagramSocket(to: server.endpoint)) }
            let names = try clients.map { try $0.localAddress }
            func ask(_ index: Int) async throws {
                try await clients[index].send([UInt8(index)])
                #expect(try await clients[index].receive().bytes == [UInt8(index)])
            }
            for index in [0, 1, 2, 0] { try await ask(index) }
            #expect(ended.all.isEmpty)
            // 1 has been silent for longest, then 2.
            try await ask(3)
            try await eventually { ended.all == [names[1]] }
            try await ask(4)
            try await eventually { ended.all == [names[1], names[2]] }
            // Those that stayed are in the same sessions still; who had to go gets in anew.
            for index in [0, 3, 4] { try await ask(index) }
            #expect(begun.all == names)
            try await ask(1)
            try await eventually { ended.all.count == 3 && begun.all.count == 6 }
            #expect(ended.all.last == names[0])
            for client in clients { client.close() }
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: [1, Int.max])
    func theLeastAndTheGreatestLimitServe(_ limit: Int) async throws {
        try await trial(over: .udp4) { _, client, server in
            let serving = Task { try await server.serve(limit: limit, queue: limit, echoDatagrams) }
            for round in 0..<3 as Range<UInt8> { try await client.ask([round]) { $0 == [round] } }
            server.stopReceiving()
            try await serving.value
        }
    }

    /// Its bytes are the least of what a small datagram costs while it waits.
    @Test(arguments: [0, 1])
    func smallDatagramsThatNobodyReceivesAreBoundedToo(_ size: Int) async throws {
        try await trial(over: .unixPath) { _, client, server in
            let (gate, opener) = try Connection.pair()
            let held = Notes<DatagramSession>()
            let serving = Task {
                try await server.serve(queue: .max) { session in
                    held.add(session)
                    _ = try? await gate.receive(upTo: 1)
                    while try await session.receive() != nil {}
                }
            }
            let bytes = [UInt8](repeating: 1, count: size)
            try await onThread { for _ in 0..<100_000 { try client.send(bytes) } }
            try await eventually { held.all.first.map { $0.droppedCount > 0 } ?? false }
            server.stopReceiving()
            gate.close()
            try await serving.value
            opener.close()
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aFloodThatNobodyReadsIsBoundedAndOthersAreServed(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let (gate, opener) = try Connection.pair()
            let flooded = Notes<DatagramSession>()
            let received = Counter()
            let serving = Task {
                try await server.serve(queue: 8) { session in
                    guard let first = try await session.receive() else { return }
                    guard first == [0] else {
                        try await session.send(first)
                        return try await echoDatagrams(session)
                    }
                    flooded.add(session)
                    _ = try await gate.receive(upTo: 1)
                    while try await session.receive() != nil { received.add() }
                }
            }
            let flooder = try await DatagramSocket(to: server.endpoint)
            try await flooder.send([0])
            try await eventually { !flooded.all.isEmpty }
            let other = try await DatagramSocket(to: server.endpoint)
            for round in 1...20 as ClosedRange<UInt8> {
                for _ in 0..<50 { try await flooder.send(pattern(500)) }
                try await other.ask([round]) { $0 == [round] }
            }
            let session = try #require(flooded.all.first)
            #expect(session.droppedCount > 0)
            #expect(session.droppedCount + server.overflowCount >= 20 * 50 - 8)
            try await opener.send([1])
            server.stopReceiving()
            try await serving.value
            #expect(received.value <= 8)
            for socket in [flooder, other] { socket.close() }
            server.close()
            gate.close()
            opener.close()
        }
    }

    /// However many each session may hold, all together hold 8 MiB.
    @Test func allSessionsTogetherHoldNoMoreThanEightMebibytes() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let (gate, opener) = try Connection.pair()
            let sessions = Notes<DatagramSession>()
            let bytes = Counter()
            let serving = Task {
                try await server.serve(queue: 1_000_000) { session in
                    sessions.add(session)
                    _ = try await gate.receive(upTo: 1)
                    while let message = try await session.receive() { bytes.add(message.count) }
                }
            }
            var clients: [DatagramSocket] = []
            for _ in 0..<4 { clients.append(try await DatagramSocket(to: server.endpoint)) }
            let content = pattern(50_000)
            let end = ContinuousClock.now + patience
            while ContinuousClock.now < end {
                for client in clients { try await client.send(content) }
                // Not faster than the server reads, or the kernel drops and the sessions are never full.
                let told = sessions.all.reduce(0) { $0 + $1.droppedCount }
                if told > 100 { break }
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(sessions.all.reduce(0) { $0 + $1.droppedCount } > 0)
            server.stopReceiving()
            try await opener.send(Array(repeating: 1, count: 4))
            try await serving.value
            #expect(bytes.value <= 8 << 20)
            #expect(bytes.value > 4 << 20)
            for client in clients { client.close() }
            server.close()
            gate.close()
            opener.close()
        }
    }

    /// Room that was taken by what a session left unread is there again for others.
    @Test func whatASessionLeavesUnreadTakesNoRoomForEver() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let sessions = Counter()
            let serving = Task {
                try await server.serve(limit: 2) { session in
                    sessions.add()
                    guard let first = try await session.receive() else { return }
                    try await session.send([first[0]])
                    // Idle until its place is another's, with what came meanwhile unread.
                    try await Task.sleep(for: .seconds(1_000))
                }
            }
            // Each leaves 60 × 50 000 bytes; three of them would be over the bound.
            let content = pattern(50_000)
            for round in 0..<8 as Range<UInt8> {
                let client = try await DatagramSocket(to: server.endpoint)
                try await client.ask([round]) { $0 == [round] }
                for number in 0..<60 {
                    try await client.send(content)
                    if number.isMultiple(of: 3) { try await Task.sleep(for: .milliseconds(1)) }
                }
                client.close()
            }
            serving.cancel()
            try await serving.value
            // The kernel keeps no more than what it had when the server ended.
            let client = try await DatagramSocket(to: server.endpoint)
            let again = Task { try await server.serve(echoDatagrams) }
            try await client.ask([77]) { $0 == [77] }
            client.close()
            server.stopReceiving()
            try await again.value
            server.close()
        }
    }
}

@Suite("C6: many senders that were never there", .inTurn)
struct ManySendersTests {
    static let senders = 5_000

    /// Each from a socket of its own, one after the other closed without reading its answer.
    @Test(arguments: [DatagramKind.udp4, .udp6])
    func leaveNoMoreSessionsThanTheLimit(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: kind.endpoint)
            let (now, most, answered) = (Counter(), Counter(), Counter())
            let serving = Task {
                try await server.serve(limit: 100) { session in
                    most.raise(to: now.add())
                    defer { now.add(-1) }
                    while let message = try await session.receive() {
                        try await session.send(message)
                        answered.add()
                    }
                }
            }
            let honest = try await DatagramSocket(to: server.endpoint)
            for number in 0..<Self.senders {
                let sender = try await DatagramSocket(to: server.endpoint)
                try await sender.send([UInt8(number & 0xff)])
                sender.close()
                if number.isMultiple(of: 500) { try await honest.ask([1, 2]) { $0 == [1, 2] } }
            }
            try await honest.ask([3, 4]) { $0 == [3, 4] }
            #expect(most.value <= 100)
            #expect(answered.value + server.overflowCount >= Self.senders)
            honest.close()
            server.stopReceiving()
            try await serving.value
            #expect(now.value == 0)
            server.close()
        }
    }

    @Test(.enabled(if: Spoofer.isAvailable, "\(Spoofer.whyNot)"))
    func leaveNoMoreSessionsThanTheLimitWhereTheirAddressesAreMadeUp() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let target = try server.localAddress
            let (now, most) = (Counter(), Counter())
            let serving = Task {
                try await server.serve(limit: 100) { session in
                    most.raise(to: now.add())
                    defer { now.add(-1) }
                    try await echoDatagrams(session)
                }
            }
            let honest = try await DatagramSocket(to: server.endpoint)
            let spoofer = Spoofer()
            for number in 0..<UInt32(Self.senders) {
                let source = SocketAddress.ipv4(IPv4Address(value: 0x7f4e_0000 + number), port: 9_999)
                #expect(spoofer.send([UInt8(number & 0xff)], from: source, to: target))
                if number.isMultiple(of: 500) { try await honest.ask([1, 2]) { $0 == [1, 2] } }
            }
            try await honest.ask([3, 4]) { $0 == [3, 4] }
            #expect(most.value <= 100)
            #expect(most.value > 50)
            honest.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// Bodies that mind other things when their place is taken do not pile up behind the limit.
    @Test func doNotPileUpBodiesThatDoNotLookAtTheirSession() async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: DatagramKind.udp4.endpoint)
            let (now, most) = (Counter(), Counter())
            let serving = Task {
                try await server.serve(limit: 10) { session in
                    most.raise(to: now.add())
                    defer { now.add(-1) }
                    try await Task.sleep(for: .seconds(1_000))
                }
            }
            for _ in 0..<1_000 {
                let sender = try await DatagramSocket(to: server.endpoint)
                try await sender.send([1])
                sender.close()
            }
            try await eventually { now.value >= 10 }
            #expect(most.value <= 10 + 64)
            serving.cancel()
            try await serving.value
            #expect(now.value == 0)
            server.close()
        }
    }
}
