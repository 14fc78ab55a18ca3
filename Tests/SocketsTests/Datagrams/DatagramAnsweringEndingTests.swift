import Loops
import Sockets
import SystemPackage
import TestSupport
import Testing

/// How `serveDatagrams` ends, and whom it shares a socket and a loop with.
@Suite(.inTurn) struct DatagramAnsweringEndingTests {
    enum Ending: String, CaseIterable { case stop, close, cancel, finish }

    private func end(_ server: DatagramSocket, _ serving: Task<Void, any Error>, by ending: Ending) {
        switch ending {
        case .stop: server.stopReceiving()
        case .close: server.close()
        case .cancel: serving.cancel()
        case .finish: server.finishServing(afterSilence: .seconds(3_600))
        }
    }

    /// While it waits for a first datagram, and after some.
    @Test(arguments: DatagramKind.allCases, Ending.allCases)
    func itReturnsAndLeavesNothing(_ kind: DatagramKind, _ ending: Ending) async throws {
        for count in 0..<3 as Range<UInt8> {
            try await trial(over: kind) { ledger, client, server in
                let group = try EventLoopGroup(loops: 1)
                let serving = Task { try await server.serveDatagrams(on: group) { $0.bytes } }
                try await ledger.sees(.receiveDatagrams)
                for round in 0..<count { try await client.ask([round]) { $0 == [round] } }
                end(server, serving, by: ending)
                try await serving.value
                #expect(server.isClosed == (ending == .close))
                if ending == .cancel {
                    // The socket is its owner's, as it was.
                    try await client.send([7])
                    #expect(try await server.receive().bytes == [7])
                }
                server.close()
                // A group waits for whoever is on it.
                group.close()
            }
        }
    }

    @Test(arguments: Ending.allCases)
    func endedBeforeItBeginsItReturnsAtOnce(_ ending: Ending) async throws {
        try await trial(over: .udp4) { _, client, server in
            let (gate, opener) = try Connection.pair()
            let serving = Task {
                _ = try? await gate.receive(upTo: 1)
                try await server.serveDatagrams { $0.bytes }
            }
            end(server, serving, by: ending)
            try await opener.send([1])
            let ended = try await cause { try await serving.value }
            #expect(ended == nil || ended == .closed)
            gate.close()
            opener.close()
        }
    }

    /// It ends from its own body too, where it cannot wait.
    @Test(arguments: DatagramKind.allCases, [Ending.stop, .close])
    func itsBodyMayEndIt(_ kind: DatagramKind, _ ending: Ending) async throws {
        try await trial(over: kind) { _, client, server in
            for _ in 0..<3 { try await client.send([1]) }
            try await server.serveDatagrams { datagram in
                if ending == .stop { server.stopReceiving() } else { server.close() }
                return datagram.bytes
            }
            // What was taken by then is still answered where it can be.
            if ending == .stop { #expect(try await client.receive().bytes == [1]) }
        }
    }

    @Test(arguments: DatagramKind.allCases)
    func aSecondServerOnTheSameSocketIsMisuse(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            func isMisuse(_ cause: SocketError.Cause?) -> Bool { if case .misuse? = cause { true } else { false } }
            let serving = Task { try await server.serveDatagrams { $0.bytes } }
            try await client.ask([1]) { $0 == [1] }
            #expect(isMisuse(try await cause { try await server.serveDatagrams { _ in nil } }))
            #expect(isMisuse(try await cause { try await server.serve(echoDatagrams) }))
            try await client.ask([2]) { $0 == [2] }
            serving.cancel()
            try await serving.value
            // One after the other is nothing wrong, and neither is in the other's way.
            let sessions = Task { try await server.serve(echoDatagrams) }
            try await client.ask([3]) { $0 == [3] }
            #expect(isMisuse(try await cause { try await server.serveDatagrams { _ in nil } }))
            sessions.cancel()
            try await sessions.value
            let again = Task { try await server.serveDatagrams { $0.bytes + [1] } }
            try await client.ask([4]) { $0 == [4, 1] }
            server.stopReceiving()
            try await again.value
        }
    }

    /// A flood that never lets its queue become empty: each datagram that is taken brings the next.
    @Test(arguments: DatagramKind.allCases)
    func aFloodDoesNotHoldUpAnotherClientOfTheLoop(_ kind: DatagramKind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let (flooder, server) = try await datagramPair(kind)
            let listener = try Listener(on: "127.0.0.1:0")
            let (taken, isOver) = (Counter(), Counter())
            for _ in 0..<8 { flooder.rawSend([1]) }
            let streams = Task {
                try await listener.serve(on: group) { client in
                    while let bytes = try await client.receive(upTo: 100) { try await client.send(bytes) }
                }
            }
            let client = try await Connection(to: listener.endpoint)
            try await client.send([0])
            #expect(try await client.receive(exactly: 1) == [0])
            let flood = Task {
                try await server.serveDatagrams(on: group) { _ in
                    taken.add()
                    if isOver.value == 0 { flooder.rawSend([1]) }
                    return nil
                }
            }
            try await eventually { taken.value > 1_000 }
            for round in 1...20 as ClosedRange<UInt8> {
                try await client.send([round])
                #expect(try await client.receive(exactly: 1) == [round])
            }
            let soFar = taken.value
            try await eventually(patience, "the flood goes on") { taken.value > soFar + 1_000 }
            isOver.add()
            server.stopReceiving()
            try await flood.value
            client.close()
            listener.close()
            try await streams.value
            flooder.close()
            server.close()
            group.close()
        }
    }
}
