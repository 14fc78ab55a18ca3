import Sockets
import SystemPackage
import TestSupport
import Testing

/// Borders are kept: one send is one receive, in order on one machine.
@Suite(.inTurn) struct DatagramTransferTests {
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func oneSendIsOneReceiveOfAnySize(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            for count in [0, 1, 1_000, DatagramSocket.largestUDP] + (kind.isUnix ? [100_000] : []) {
                let bytes = pattern(count, seed: UInt64(count))
                try await client.send(bytes, by: face)
                let question = try await server.receive(by: face)
                #expect(question.bytes == bytes)
                #expect(!question.isTruncated)
                #expect(try question.sender == client.localAddress)
                try await server.send(bytes.reversed(), to: question.sender, by: face)
                #expect(try await client.receive(by: face).bytes == bytes.reversed())
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aHundredComeInTheirOrder(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            async let sending: Void = {
                for number in 0..<100 { try await client.send(pattern(number, seed: UInt64(number)), by: face) }
            }()
            for number in 0..<100 {
                #expect(try await server.receive(by: face).bytes == pattern(number, seed: UInt64(number)))
            }
            try await sending
        }
    }

    /// More than one system call gives: that a call was full does not mean that all have come.
    @Test(arguments: [1, 7, 8, 9, 16, 31, 32, 33, 64, 100], Face.allCases)
    func aBurstComesToItsEnd(_ count: Int, _ face: Face) async throws {
        try await trial { _ in
            let (one, other) = try DatagramSocket.pair()
            let (client, server) = try await datagramPair(.udp4)
            for (sender, receiver) in [(one, other), (client, server)] {
                for number in 0..<count { #expect(sender.rawSend([UInt8(number)])) }
                for number in 0..<count { #expect(try await receiver.receive(by: face).bytes == [UInt8(number)]) }
                // It waits now, and is woken.
                async let last = receiver.receive(by: face)
                #expect(sender.rawSend([0xff]))
                #expect(try await last.bytes == [0xff])
            }
            for socket in [one, other, client, server] { socket.close() }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func sendsOfManyTasksNeverMix(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            // Few and small enough that no kernel drops one.
            let (tasks, rounds) = (8, 20)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<tasks {
                    group.addTask {
                        for round in 0..<rounds {
                            let content = pattern(100 + task, seed: UInt64(task * rounds + round))
                            try await client.send([UInt8(task), UInt8(round)] + content, by: face)
                        }
                    }
                }
                var next = [Int](repeating: 0, count: tasks)
                for _ in 0..<(tasks * rounds) {
                    let bytes = try await server.receive(by: face).bytes
                    let (task, round) = (Int(bytes[0]), Int(bytes[1]))
                    #expect(round == next[task])
                    next[task] += 1
                    #expect(Array(bytes[2...]) == pattern(100 + task, seed: UInt64(task * rounds + round)))
                }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func bothDirectionsAtTheSameTime(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let address = try client.localAddress
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for number in 0..<50 as Range<UInt8> { try await client.send([number], by: face) } }
                group.addTask {
                    for number in 0..<50 as Range<UInt8> { try await server.send([number, 1], to: address, by: face) }
                }
                group.addTask { () async throws in
                    for number in 0..<50 as Range<UInt8> {
                        #expect(try await server.receive(by: face).bytes == [number])
                    }
                }
                group.addTask { () async throws in
                    for number in 0..<50 as Range<UInt8> {
                        #expect(try await client.receive(by: face).bytes == [number, 1])
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func textsAndSpansGoAsTheyAre(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            try await client.send("première")
            #expect(try await server.receive().bytes == Array("première".utf8))
            try await client.send("")
            #expect(try await server.receive().bytes == [])
            let bytes = pattern(500)
            try await client.send(bytes.span.bytes)
            #expect(try await server.receive().bytes == bytes)
            let address = try client.localAddress
            try await onThread {
                try server.send("a", to: address)
                try server.send(bytes.span.bytes, to: address)
            }
            #expect(try await client.receive().bytes == [0x61])
            #expect(try await client.receive().bytes == bytes)
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aSendToNobodyIsAnErrorAndTheSocketLives(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let ended = try await cause { try await server.send([1], by: face) }
            #expect(ended == .system(.addressRequired) || ended == .system(.socketNotConnected))
            try await client.send([2], by: face)
            #expect(try await server.receive(by: face).bytes == [2])
        }
    }
}

@Suite("C1: a datagram of no bytes is a datagram", .inTurn)
struct EmptyDatagramTests {
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func itComesBetweenTheOthers(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            for bytes in [[], [1], [], [], [2]] as [[UInt8]] { try await client.send(bytes, by: face) }
            for bytes in [[], [1], [], [], [2]] as [[UInt8]] {
                let datagram = try await server.receive(upTo: 9, by: face)
                #expect(datagram == Datagram(bytes: bytes, sender: try client.localAddress))
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func itEndsAReceiveThatWaits(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            async let received = server.receive(by: face)
            try await ledger.sees(.receiveDatagrams)
            try await client.send([], by: face)
            #expect(try await received.bytes == [])
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aSessionGetsAndSendsIt(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await server.serve(echoDatagrams) }
            for bytes in [[], [1], []] as [[UInt8]] {
                try await client.send(bytes)
                #expect(try await client.receive().bytes == bytes)
            }
            server.stopReceiving()
            try await serving.value
        }
    }
}

@Suite("C2: a datagram longer than the transport carries", .inTurn)
struct TooLongDatagramTests {
    @Test(arguments: DatagramKind.udp, Face.allCases)
    func isRefusedAndTheSocketLives(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let most = DatagramSocket.largestUDP + (kind == .udp6 ? 20 : 0)
            for count in [most + 1, 70_000, 1_000_000] {
                let ended = try await cause { try await client.send(pattern(count), by: face) }
                #expect(ended == .system(.messageTooLong))
            }
            let address = try client.localAddress
            let ended = try await cause { try await server.send(pattern(most + 1), to: address, by: face) }
            #expect(ended == .system(.messageTooLong))
            try await client.send(pattern(most), by: face)
            #expect(try await server.receive(by: face).bytes == pattern(most))
            try await server.send([1], to: address, by: face)
            #expect(try await client.receive(by: face).bytes == [1])
        }
    }

    @Test(arguments: DatagramKind.unix, Face.allCases)
    func isRefusedByAUnixSocketWithASmallBuffer(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            try client.setOption(.sendBuffer, to: 8_000)
            let ended = try await cause { try await client.send(pattern(50_000), by: face) }
            #expect(ended == .system(.messageTooLong))
            try await client.send([1], by: face)
            #expect(try await server.receive(by: face).bytes == [1])
        }
    }

    @Test func isToldToASessionAndTheOthersGoOn() async throws {
        try await trial(over: .udp4) { _, client, server in
            let serving = Task {
                try await server.serve { session in
                    while let message = try await session.receive() {
                        if message == [0] {
                            let ended = try await cause {
                                try await session.send(pattern(DatagramSocket.largestUDP + 1))
                                // An answer that went with others is told of by the next one.
                                try await session.send([9])
                            }
                            #expect(ended == .system(.messageTooLong))
                        }
                        try await session.send(message)
                    }
                }
            }
            try await client.ask([0]) { $0 == [0] }
            try await client.ask([1]) { $0 == [1] }
            server.stopReceiving()
            try await serving.value
        }
    }
}

@Suite("C3: a datagram longer than what is asked for", .inTurn)
struct TruncationTests {
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func isCutAndSaysSoAndTheNextIsWhole(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            for count in [10, 1_000, 60_000] {
                let bytes = pattern(count)
                try await client.send(bytes, by: face)
                try await client.send([1, 2, 3], by: face)
                let cut = try await server.receive(upTo: count - 1, by: face)
                #expect(cut.bytes == Array(bytes.dropLast()))
                #expect(cut.isTruncated)
                #expect(try cut.sender == client.localAddress)
                let whole = try await server.receive(upTo: 3, by: face)
                #expect(whole == Datagram(bytes: [1, 2, 3], sender: try client.localAddress))
            }
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func staysWhereAReceiveOfZeroBytesIsRefused(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            for bytes in [[1, 2], [], [3]] as [[UInt8]] { try await client.send(bytes, by: face) }
            for count in [0, -1] { #expect(try await isMisuse { try await server.receive(upTo: count, by: face) }) }
            let cut = try await server.receive(upTo: 1, by: face)
            #expect(cut.bytes == [1] && cut.isTruncated)
            let empty = try await server.receive(upTo: 1, by: face)
            #expect(empty.bytes == [] && !empty.isTruncated)
            #expect(try await server.receive(by: face).bytes == [3])
        }
    }

    /// 256 KiB, whatever is asked for; a Unix sender may send more.
    @Test(arguments: DatagramKind.unix, Face.allCases)
    func isCutWhereItIsLongerThanAnyReceiveGives(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            try client.setOption(.sendBuffer, to: 400_000)
            let bytes = pattern(300_000)
            try await client.send(bytes, by: face)
            try await client.send([1], by: face)
            let cut = try await server.receive(by: face)
            #expect(cut.bytes == Array(bytes.prefix(262_144)))
            #expect(cut.isTruncated)
            #expect(try await server.receive(by: face) == Datagram(bytes: [1], sender: try client.localAddress))
        }
    }

    /// Many that came together, cut and whole by turns: what one receive asks for is not what the next one gets.
    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func isCutInABatchTooWhereItIsAskedFor(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let count = 40
            // UDP holds all of them at once; a Unix queue holds ten, and the rest come as they are read.
            let sending = Task {
                for number in 0..<count { try await client.send(pattern(number * 31, seed: UInt64(number)), by: face) }
            }
            if !kind.isUnix { try await sending.value }
            for number in 0..<count {
                let bytes = pattern(number * 31, seed: UInt64(number))
                let most = [10, 1_000_000, 600, 1, bytes.count][number % 5]
                let datagram = try await server.receive(upTo: most, by: face)
                #expect(datagram.bytes == Array(bytes.prefix(most)))
                #expect(datagram.isTruncated == (bytes.count > most))
            }
            try await sending.value
        }
    }
}
