import Sockets
import SystemPackage
import TestSupport
import Testing

/// What a trace tells of datagrams: the stages, each wait, and how each verb ended.
@Suite(.inTurn) struct DatagramTracingTests {
    private func trace(to lines: Notes<String>) -> Trace { .lines { lines.add($0) } }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func theStagesShowTheSocket(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { _ in
            let (lines, clientLines) = (Notes<String>(), Notes<String>())
            let server = try DatagramSocket(on: kind.endpoint, trace: trace(to: lines))
            let own = try #require(server.socketDescription)
            #expect(lines.all.count == 2)
            #expect(lines.all.first?.hasPrefix("created <socket fd=\(own.descriptor), ") == true)
            #expect(lines.all.first?.contains("SOCK_DGRAM") == true)
            #expect(try lines.all.last?.hasSuffix("local=\(server.localAddress)>") == true)
            #expect(lines.all.last?.hasPrefix("bound ") == true)
            let (endpoint, clientTrace) = (server.endpoint, trace(to: clientLines))
            let client: DatagramSocket
            switch face {
            case .task: client = try await DatagramSocket(to: endpoint, trace: clientTrace)
            case .thread: client = try await onThread { try DatagramSocket(to: endpoint, trace: clientTrace) }
            }
            #expect(clientLines.all.contains { $0.hasPrefix("connected ") && $0.contains("remote=") })
            client.close()
            #expect(clientLines.all.last?.contains("closed fd") == true)
            server.close()
            #expect(lines.all.last?.contains("closed fd \(own.descriptor)") == true)
        }
    }

    @Test(arguments: DatagramKind.allCases, Face.allCases)
    func aReceiveTellsWhatItWaitedForAndASendThatItDidNot(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { ledger in
            let lines = Notes<String>()
            let (client, server) = try await datagramPair(kind, trace: trace(to: lines))
            // The first look finds nothing, however late it is made.
            ledger.make(.receiveDatagrams, .fail(.wouldBlock))
            async let received = server.receive(by: face)
            try await ledger.sees(.receiveDatagrams)
            try await client.send([1, 2, 3], by: face)
            let sender = try await received.sender
            let waited = /.*: receive waited \d+\.\d{3} s, until a datagram of 3 bytes came from (.*)/
            let told = lines.all.compactMap { $0.wholeMatch(of: waited).map { String($0.1) } }
            #expect(told == ["\(sender)"])
            #expect(lines.all.contains { $0.hasSuffix("send did not wait: all 3 bytes were passed on") })

            server.idleTimeout = .milliseconds(50)
            _ = try await cause { try await server.receive(by: face) }
            #expect(lines.all.last?.contains("receive waited ") == true)
            #expect(lines.all.last?.hasSuffix("until its time was over") == true)
            client.close()
            server.close()
        }
    }

    @Test(arguments: DatagramKind.unix, Face.allCases)
    func aSendThatWaitedForAFullQueueTellsSo(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial { ledger in
            let lines = Notes<String>()
            let server = try DatagramSocket(on: kind.endpoint)
            let client = try await DatagramSocket(to: server.endpoint, trace: trace(to: lines))
            let count = client.fillPeer()
            let before = ledger.count(of: .sendDatagrams)
            ledger.make(.sendDatagrams, .fail(.wouldBlock))
            async let sending: Void = client.send([1, 2], by: face)
            try await ledger.sees(.sendDatagrams, before + 1)
            for _ in 0..<count { _ = try await server.receive() }
            try await sending
            #expect(lines.all.contains { $0.contains(/send waited \d+\.\d{3} s, until all 2 bytes were passed on/) })
            client.close()
            server.close()
        }
    }
}
