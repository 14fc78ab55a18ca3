import Sockets
import TestSupport
import Testing

/// A cancelled forward does not go on, whatever it does.
@Suite(.inTurn) struct ForwardingCancellationTests {
    @Test(arguments: Setup.all, Way.all)
    func aCancelledWaitForBytesFails(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            await relay.settle()
            forward.cancel()
            #expect(try await forward.end() == .failed(.receive, .cancelled))
        }
    }

    @Test(arguments: Setup.unix, Way.started)
    func aCancelledWaitForRoomFails(_ setup: Setup, _ way: Way) async throws {
        try await tryingForward(setup, echo: way.echo) { relay in
            let forward = relay.forward()
            try await relay.exchange(way.stage)
            _ = try await relay.fill()
            forward.cancel()
            #expect(try await forward.end() == .failed(.send, .cancelled))
        }
    }

    @Test(arguments: Setup.plain, Stage.allCases)
    func theConnectionsLiveOn(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            for _ in 0..<3 {
                let forward = relay.forward()
                try await relay.exchange(stage)
                forward.cancel()
                #expect(try await forward.end() == .failed(.receive, .cancelled))
            }
            let forward = relay.forward()
            let count = try await relay.exchange(stage)
            try relay.sender.finishSending()
            #expect(try await forward.end() == .finished(UInt64(count)))
        }
    }

    /// No event of a socket tells of it where one child of many is cancelled.
    @Test(arguments: Setup.all, [Stage.few, .many])
    func cancellingAGroupEndsItsForwardAndNotTheClient(_ setup: Setup, _ stage: Stage) async throws {
        for full in setup.kind == .unix ? [true, false] : [false] {
            try await tryingForward(setup) { relay in
                let cancel = Notes<Bool>()
                let ended = Notes<SocketError.Cause?>()
                let work = relay.begin {
                    await withTaskGroup(of: Void.self) { group in
                        group.addTask {
                            let cause = try? await cause { try await relay.source.forward(to: relay.destination) }
                            ended.add(cause)
                        }
                        try? await cancel.waits("the word to cancel") { $0 }
                        group.cancelAll()
                    }
                    return 1
                }
                try await relay.exchange(stage)
                if full { _ = try await relay.fill() }
                await relay.settle()
                cancel.add(true)
                #expect(try await work.end() == .finished(1))
                #expect(ended.all == [.cancelled])
                try await relay.source.send([1])
                #expect(try await relay.sender.receive(upTo: 9) == [1])
            }
        }
    }

    @Test(arguments: Setup.all)
    func aTaskThatIsCancelledAlreadyDoesNotBegin(_ setup: Setup) async throws {
        try await tryingForward(setup) { relay in
            try await relay.sender.send([1, 2])
            let forward = relay.begin {
                try await withThrowingTaskGroup(of: UInt64.self) { group in
                    group.addTask {
                        withUnsafeCurrentTask { $0?.cancel() }
                        return try await relay.source.forward(to: relay.destination)
                    }
                    return try await group.next() ?? 0
                }
            }
            #expect(try await forward.end() == .failed(.receive, .cancelled))
            #expect(try await relay.source.receive(upTo: 9) == [1, 2])
        }
    }

    @Test(arguments: Setup.all.filter { $0.place != .off }, [Stage.few, .many])
    func closingTheLoopsEndsIt(_ setup: Setup, _ stage: Stage) async throws {
        for full in setup.kind == .unix ? [true, false] : [false] {
            try await tryingForward(setup) { relay in
                let forward = relay.forward()
                try await relay.exchange(stage)
                if full { _ = try await relay.fill() }
                await relay.settle()
                relay.group.close()
                #expect(try await forward.end() == .failed(full ? .send : .receive, .closed))
            }
        }
    }

    @Test(arguments: Setup.all)
    func closingTheLoopsRacesWithForwardsThatBegin(_ setup: Setup) async throws {
        for round in 0..<10 {
            try await tryingForward(setup, echo: true) { relay in
                let forward = relay.forward()
                try await relay.exchange(round)
                for _ in 0..<round { await Task.yield() }
                relay.group.close()
                relay.source.close()
                #expect(try await forward.end() == .failed(.receive, .closed))
            }
        }
    }
}
