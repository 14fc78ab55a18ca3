import Sockets
import SystemPackage
import TestSupport
import Testing

/// The kernel tells of an unreachable port with the next call, and only to a connected socket (ICMP, RFC 1122).
@Suite("C4: a peer that is gone", .inTurn)
struct DatagramRefusedTests {
    @Test(arguments: DatagramKind.udp, Face.allCases)
    func failsALaterReceiveAndTheSocketLives(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            try await client.send([1], by: face)
            #expect(try await server.receive(by: face).bytes == [1])
            server.close()
            for _ in 0..<3 {
                try await client.send([2], by: face)
                let ended = try await cause { try await client.receive(by: face) }
                #expect(ended == .system(.connectionRefused))
            }
            let again = try await boundAgain(server.endpoint)
            for round in 0..<5 as Range<UInt8> {
                try await client.send([round], by: face)
                #expect(try await again.receive(by: face).bytes == [round])
                try await again.send([round], to: client.localAddress, by: face)
                #expect(try await client.receive(by: face).bytes == [round])
            }
            again.close()
        }
    }

    @Test(arguments: DatagramKind.udp, Face.allCases)
    func failsAReceiveThatWaits(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server in
            server.close()
            for _ in 0..<3 {
                let before = ledger.count(of: .receiveDatagrams)
                async let received = cause { try await client.receive(by: face) }
                try await ledger.sees(.receiveDatagrams, before + 1)
                // It may be the send that is told, when it comes between the answer and the receive.
                let sent = try await cause { try await client.send([2], by: face) }
                #expect(sent == nil)
                #expect(try await received == .system(.connectionRefused))
            }
        }
    }

    @Test(arguments: DatagramKind.udp, Face.allCases)
    func failsALaterSendAndTheNextOneGoes(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            server.close()
            try await client.send([1], by: face)
            #expect(try await cause { try await client.send([2], by: face) } == .system(.connectionRefused))
            let again = try await boundAgain(server.endpoint)
            try await client.send([3], by: face)
            #expect(try await again.receive(by: face).bytes == [3])
            again.close()
        }
    }

    @Test(arguments: DatagramKind.udp, Face.allCases)
    func doesNotHurtABoundSocketThatSentToIt(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let gone = try DatagramSocket(on: kind.endpoint)
            let nowhere = try gone.localAddress
            gone.close()
            for round in 0..<10 as Range<UInt8> {
                try await server.send([9], to: nowhere, by: face)
                try await client.send([round], by: face)
                #expect(try await server.receive(by: face).bytes == [round])
            }
        }
    }

    @Test(arguments: DatagramKind.udp)
    func doesNotHurtAServerThatAnswersIt(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let failures = Counter()
            let serving = Task { try await server.serve(onError: { _, _ in failures.add() }, echoDatagrams) }
            for round in 0..<20 as Range<UInt8> {
                // It asks, and does not wait for the answer.
                let passer = try await DatagramSocket(to: server.endpoint)
                try await passer.send([round])
                passer.close()
                try await client.ask([round, 1]) { $0 == [round, 1] }
            }
            #expect(failures.value == 0)
            server.stopReceiving()
            try await serving.value
        }
    }

    @Test(arguments: DatagramKind.udp)
    func doesNotEndAConnectedSocketThatServes(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            let serving = Task { try await client.serve(echoDatagrams) }
            server.close()
            for _ in 0..<3 { _ = try await cause { try await client.send([1]) } }
            let again = try await boundAgain(server.endpoint)
            let address = try client.localAddress
            try await again.send([7], to: address)
            // What the client sent last may have come first.
            while let datagram = try await again.receive(within: patience) {
                if datagram.bytes == [7] { break }
            }
            client.stopReceiving()
            try await serving.value
            again.close()
        }
    }

    @Test(arguments: DatagramKind.unix, Face.allCases)
    func failsAUnixSocketsSendAtOnce(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            let other = try DatagramSocket(on: kind.endpoint)
            let address = try server.localAddress
            server.close()
            for _ in 0..<2 {
                let ended = try await cause { try await client.send([1], by: face) }
                #expect(ended == .system(.connectionRefused))
                let told = try await cause { try await other.send([1], to: address, by: face) }
                #expect(told == .system(kind == .unixPath ? .noSuchFileOrDirectory : .connectionRefused))
            }
            let again = try await boundAgain(server.endpoint)
            try await other.send([2], to: address, by: face)
            #expect(try await again.receive(by: face).bytes == [2])
            again.close()
            other.close()
        }
    }

    /// A socket where another was. There is only one address of this machine for IPv6, so another test may have got its
    /// port meanwhile, until it ends.
    private func boundAgain(_ endpoint: Endpoint) async throws -> DatagramSocket {
        while true {
            do throws(SocketError) {
                return try DatagramSocket(on: endpoint)
            } catch {
                guard error.cause == .system(.addressInUse) else { throw error }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
