import Sockets
import SystemPackage
import TestSupport
import Testing

/// How a forward ends when one of its sockets does: at once, and with the error that the verb would throw.
@Suite(.inTurn) struct ForwardingEndingTests {
    @Test(arguments: Setup.all, Stage.allCases)
    func closingTheSourceEndsAWaitForBytes(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            relay.source.close()
            #expect(try await forward.end() == .failed(.receive, .closed))
            // The other connection is none of its business.
            try await relay.destination.send([1])
            #expect(try await relay.reader.receive(upTo: 9) == [1])
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func closingTheSourceOfAnEchoEndsAWaitForBytes(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup, echo: true) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            relay.source.close()
            #expect(try await forward.end() == .failed(.receive, .closed))
            #expect(try await relay.reader.receive(upTo: 9) == nil)
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func closingTheSourceEndsItWhenTheMessageInHandIsSent(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            let sent = try await relay.fill()
            relay.source.close()
            await relay.settle()
            // What arrives is the beginning of what was sent.
            let reading = Task { try await relay.reader.receiveAll() }
            #expect(try await forward.end() == .failed(.receive, .closed))
            try relay.destination.finishSending()
            let got = try await reading.value
            #expect(got.elementsEqual(sent.prefix(got.count)))
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func closingTheDestinationEndsItAtTheNextMessage(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            relay.destination.close()
            await relay.settle()
            // Nothing is to be sent: it waits on.
            #expect(!forward.hasEnded)
            try await relay.sender.send([1])
            #expect(try await forward.end() == .failed(.send, .closed))
            // The source is whole.
            try await relay.sender.send([2])
            #expect(try await relay.source.receive(exactly: 1).map { $0[0] < 3 } == true)
        }
    }

    /// Where nothing comes any more there is nothing to send, and no reason to fail.
    @Test(arguments: Setup.all, [Stage.few, .many])
    func aClosedDestinationIsNoErrorWhereTheEndComesNext(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            await relay.settle()
            relay.destination.close()
            await relay.settle()
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }

    @Test(arguments: Setup.all, Way.started)
    func closingTheDestinationEndsAWaitForRoom(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            _ = try await relay.fill()
            relay.destination.close()
            #expect(try await forward.end() == .failed(.send, .closed))
        }
    }

    @Test(arguments: Setup.all, Way.all)
    func aResetOfTheSourceIsAnErrorOfReceiving(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            await relay.settle()
            if setup.kind == .unix {
                // A Unix socket resets when it closes on bytes that it has not read.
                try relay.source.rawSend([1])
                relay.sender.close()
            } else {
                try relay.sender.reset()
            }
            #expect(try await forward.end() == .failed(.receive, .system(.connectionReset)))
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func aResetOfTheDestinationIsAnErrorOfSending(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            await relay.settle()
            if setup.kind == .unix { relay.reader.close() } else { try relay.reader.reset() }
            await relay.settle()
            #expect(!forward.hasEnded)
            try await relay.sender.send([1])
            #expect(try await forward.end().isResetInSend)
        }
    }

    /// A peer that is gone is known only by its answer to the first bytes.
    @Test(arguments: Setup.all, [Stage.few, .many])
    func aReaderThatHasClosedIsAnErrorOfSendingInTheEnd(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            relay.reader.close()
            while !forward.hasEnded {
                try relay.sender.rawSend([1])
                await relay.settle()
            }
            #expect(try await forward.end().isResetInSend)
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func aResetEndsAWaitForRoom(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(stage)
            _ = try await relay.fill()
            try relay.reader.reset()
            #expect(try await forward.end().isResetInSend)
        }
    }

    @Test(arguments: Setup.all, Stage.allCases)
    func stoppingToReceiveIsTheEndOfTheStream(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            await relay.settle()
            try relay.source.stopReceiving()
            #expect(try await forward.end() == .finished(UInt64(count)))
            try await relay.source.send([1])
            #expect(try await relay.sender.receive(upTo: 9) == [1])
        }
    }

    @Test(arguments: Setup.all, Way.all)
    func finishingTheDestinationFailsTheNextMessage(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            await relay.settle()
            try relay.destination.finishSending()
            await relay.settle()
            #expect(!forward.hasEnded)
            try await relay.sender.send([1])
            #expect(try await forward.end() == .failed(.send, .system(.brokenPipe)))
            #expect(try await relay.reader.receive(upTo: 9) == nil)
        }
    }

    @Test(arguments: Setup.all, Way.started)
    func finishingTheDestinationEndsAWaitForRoom(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            _ = try await relay.fill()
            try relay.destination.finishSending()
            #expect(try await forward.end() == .failed(.send, .system(.brokenPipe)))
        }
    }

    /// The error tells of the connection that failed.
    @Test(arguments: Setup.tcp, [Stage.few, .many])
    func theErrorNamesTheConnectionThatFailed(_ setup: Setup, _ stage: Stage) async throws {
        for ofSource in [true, false] {
            try await tryingForward(setup) { relay in
                let said = Notes<String>()
                let forward = relay.begin {
                    do {
                        return try await relay.source.forward(to: relay.destination)
                    } catch {
                        said.add("\(error)")
                        throw error
                    }
                }
                try await relay.exchange(stage)
                if ofSource {
                    relay.source.receiveDeadline = .now
                } else {
                    relay.destination.sendDeadline = .now
                    try await relay.sender.send([1])
                }
                _ = try await forward.end()
                let failed = ofSource ? relay.source : relay.destination
                #expect(said.all.first?.contains("\(failed.remoteAddress)") == true, "\(said.all)")
            }
        }
    }

    @Test(arguments: Setup.all, [Stage.few, .many])
    func theSystemsErrorIsTheVerbs(_ setup: Setup, _ stage: Stage) async throws {
        for operation in [SocketError.Operation.receive, .send] {
            try await tryingForward(setup, echo: true) { relay in
                let forward = relay.forward()
                try await relay.exchange(stage)
                await relay.settle()
                // By the bare call of its peer, which the ledger does not see.
                relay.ledger.make(operation == .send ? .send : .receive, .fail(.ioError))
                try relay.sender.rawSend([1])
                #expect(try await forward.end() == .failed(operation, .system(.ioError)))
            }
        }
    }
}
