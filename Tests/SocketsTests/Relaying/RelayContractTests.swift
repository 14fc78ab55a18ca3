import Sockets
import SystemPackage
import TestSupport
import Testing

/// What every relay does, over each kind of stream on either side, run by a loop and by tasks of the pool.
@Suite("Relay: its contract", .inTurn, .timeLimit(.minutes(10))) struct RelayContractTests {
    @Test(arguments: Sides.all, Runner.allCases)
    func whatComesFromEachSideIsSentOnToTheOther(_ sides: Sides, _ runner: Runner) async throws {
        try await relaying(sides, by: runner) { _, relayed in
            for round in UInt8(1)...5 {
                try await relayed.near.send([round, 2, 3])
                #expect(try await relayed.far.receive(upTo: 9) == [round, 2, 3])
                try await relayed.far.send([round, 9])
                #expect(try await relayed.near.receive(upTo: 9) == [round, 9])
            }
            // What has arrived is counted a moment after it was sent.
            try await eventually { relayed.relay.back.bytes == 10 }
            #expect(relayed.relay.forth.bytes == 15)
            #expect(relayed.relay.forth.messages == 5)
            #expect(relayed.relay.back.messages == 5)
            #expect(relayed.relay.forth.failure == nil && relayed.relay.back.failure == nil)
        }
    }

    @Test(arguments: Runner.allCases)
    func aSizeOfOneByteIsEnough(_ runner: Runner) async throws {
        try await relaying(Sides(.tcp4, .tcp4), by: runner, upTo: 1) { _, relayed in
            try await relayed.near.send([1, 2, 3])
            #expect(try await relayed.far.receive(exactly: 3) == [1, 2, 3])
            try relayed.near.finishSending()
            #expect(try await relayed.far.receive(upTo: 9) == nil)
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func anAnswerOnlyAfterTheEndOfInputArrives(_ sides: Sides, _ runner: Runner) async throws {
        try await relaying(sides, by: runner) { _, relayed in
            try await relayed.near.send(pattern(100_000))
            try relayed.near.finishSending()
            #expect(try await relayed.far.receiveAll() == pattern(100_000))
            try await relayed.far.send(pattern(200_000, seed: 2))
            try relayed.far.finishSending()
            #expect(try await relayed.near.receiveAll() == pattern(200_000, seed: 2))
            try await relayed.end()
            #expect(relayed.relay.forth.bytes == 100_000 && relayed.relay.back.bytes == 200_000)
            #expect(relayed.relay.forth.failure == nil && relayed.relay.back.failure == nil)
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func theFarSideMayEndFirst(_ sides: Sides, _ runner: Runner) async throws {
        let finished = Notes<Int>()
        let order = Notes<ObjectIdentifier>()
        try await relaying(
            sides, by: runner,
            onFinish: {
                order.add(ObjectIdentifier($0))
                finished.add(finished.all.count)
            }
        ) { _, relayed in
            try await relayed.far.send([1])
            try relayed.far.finishSending()
            #expect(try await relayed.near.receiveAll() == [1])
            try await finished.waits("the far end's being told") { $0 == 0 }
            #expect(order.all == [ObjectIdentifier(relayed.relay.second)])
            for round in UInt8(0)..<3 {
                try await relayed.near.send([round])
                #expect(try await relayed.far.receive(upTo: 9) == [round])
            }
            try relayed.near.finishSending()
            #expect(try await relayed.far.receive(upTo: 9) == nil)
            try await relayed.end()
            #expect(order.all == [ObjectIdentifier(relayed.relay.second), ObjectIdentifier(relayed.relay.first)])
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func bothMayEndAtOnce(_ sides: Sides, _ runner: Runner) async throws {
        let order = Notes<ObjectIdentifier>()
        try await relaying(sides, by: runner, onFinish: { order.add(ObjectIdentifier($0)) }) { _, relayed in
            try await relayed.near.send([1])
            try await relayed.far.send([2])
            try relayed.near.finishSending()
            try relayed.far.finishSending()
            #expect(try await relayed.far.receiveAll() == [1])
            #expect(try await relayed.near.receiveAll() == [2])
            try await relayed.end()
            #expect(relayed.relay.forth.failure == nil && relayed.relay.back.failure == nil)
            #expect(
                Set(order.all) == [ObjectIdentifier(relayed.relay.first), ObjectIdentifier(relayed.relay.second)])
            #expect(order.all.count == 2)
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func nothingAtAllButTwoEndsIsARelayToo(_ sides: Sides, _ runner: Runner) async throws {
        try await relaying(sides, by: runner) { _, relayed in
            try relayed.near.finishSending()
            #expect(try await relayed.far.receive(upTo: 9) == nil)
            try relayed.far.finishSending()
            #expect(try await relayed.near.receive(upTo: 9) == nil)
            try await relayed.end()
            #expect(relayed.relay.forth.bytes == 0 && relayed.relay.forth.messages == 0)
            #expect(relayed.relay.first.socketDescription == nil && relayed.relay.second.socketDescription == nil)
        }
    }

    @Test(arguments: Sides.all, Runner.allCases)
    func aCancellationResetsBothAtOnce(_ sides: Sides, _ runner: Runner) async throws {
        try await relaying(sides, by: runner) { _, relayed in
            try await relayed.near.send([1])
            #expect(try await relayed.far.receive(upTo: 9) == [1])
            relayed.running.cancel()
            try await relayed.end()
            #expect(relayed.relay.first.socketDescription == nil && relayed.relay.second.socketDescription == nil)
            for (peer, kind) in [(relayed.near, sides.front), (relayed.far, sides.behind)] {
                let rest = await rest(of: peer)
                #expect(rest.bytes == [] && rest.cause == (kind == .unix ? nil : .system(.connectionReset)))
            }
        }
    }

    /// Cancelled while bytes wait for room on their way, which only a peer could make.
    @Test(arguments: Sides.all, Runner.allCases)
    func aCancellationEndsARelayThatIsStuck(_ sides: Sides, _ runner: Runner) async throws {
        let tape = Tape(seed: 3)
        try await relaying(sides, by: runner, isNarrow: true) { _, relayed in
            let sent = try await onThread { try relayed.near.stuff(with: tape) }
            #expect(sent > 0)
            relayed.running.cancel()
            try await relayed.end()
            #expect(relayed.relay.first.socketDescription == nil && relayed.relay.second.socketDescription == nil)
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6])
    func anAbortIsAResetAndDropsWhatWasNotGotYet(_ kind: Kind) async throws {
        try await trial(over: kind) { _, client, server, _ in
            try client.fill(with: server)
            client.abort()
            client.abort()
            #expect(await rest(of: server).cause == .system(.connectionReset))
            #expect(try await cause { try await client.send([1]) } == .closed)
        }
    }

    /// A direction that is stopped because the other broke has not finished: nobody may be told that it has.
    @Test(arguments: Runner.allCases)
    func aDirectionThatTheOtherBrokeHasNotFinished(_ runner: Runner) async throws {
        let finished = Counter()
        try await relaying(Sides(.tcp4, .tcp4), by: runner, onFinish: { _ in finished.add() }) { _, relayed in
            try await relayed.near.send([1])
            #expect(try await relayed.far.receive(upTo: 9) == [1])
            try relayed.near.reset()
            try await relayed.end()
            #expect(finished.value == 0)
            #expect(relayed.relay.forth.failure?.isReset == true)
            #expect(relayed.relay.back.failure?.isReset == true)
        }
    }

    @Test func anAbortOfAUnixSocketIsAClose() async throws {
        try await trial(over: .unix) { _, client, server, _ in
            try await client.send([1])
            client.abort()
            #expect(try await server.receiveAll() == [1])
        }
    }
}
