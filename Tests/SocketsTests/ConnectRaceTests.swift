import Sockets
import SystemPackage
import TestSupport
import Testing

/// Several addresses of one endpoint are raced, as RFC 8305 says.
@Suite("RFC 8305: several addresses are raced", .inTurn, .timeLimit(.minutes(10)))
struct ConnectRaceTests {
    private typealias Lines = Notes<String>

    /// A port that nobody listens on, and nobody else can have while the listener lives.
    private func closedPort(_ host: String = "127.0.0.1") throws -> Listener {
        try Listener(bound: Endpoint("\(host):0"))
    }

    @Test(arguments: Face.allCases)
    func theSecondWinsAQuarterOfASecondAfterADeadFirst(_ face: Face) async throws {
        try await trial { ledger in
            let dead = try Blackhole()
            let listener = try Listener(on: "127.0.0.2:0")
            var shortest = Duration.seconds(100)
            // A busy machine may take its time.
            for round in 1...20 where shortest >= .seconds(2) {
                let delays = Notes<Duration>()
                let trace = Trace { if case .attempt(2, of: 2, let after) = $0.action { delays.add(after) } }
                let client = try await Connection.connect(
                    racing: [dead.address, listener.address], trace: trace, by: face)
                #expect(client.remoteAddress == listener.address)
                #expect(delays.all.count == 1)
                let delay = try #require(delays.all.first)
                // Never before its time.
                #expect(delay >= .milliseconds(250))
                shortest = min(shortest, delay)
                // The loser is closed already: the listener and the winner are open.
                #expect(ledger.count(of: .socket) == 1 + 2 * round)
                #expect(ledger.open.count == 2)
                client.close()
            }
            #expect(shortest < .seconds(2))
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func theWinnerIsAConnectionLikeAnother(_ face: Face) async throws {
        try await trial { ledger in
            let dead = try Blackhole()
            let listener = try Listener(on: "127.0.0.2:0")
            let client = try await Connection.connect(racing: [dead.address, listener.address], by: face)
            let server = try await listener.accept()
            try await client.send([7], by: face)
            #expect(try await server.receive(upTo: 9, by: face) == [7])
            client.close()
            server.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func afterARefusalTheNextBeginsAtOnce(_ face: Face) async throws {
        try await trial { _ in
            let closed = try closedPort()
            let listener = try Listener(on: "[::1]:0")
            var shortest = Duration.seconds(100)
            // A busy machine may take its time once.
            for _ in 0..<40 where shortest >= .milliseconds(250) {
                let delays = Notes<Duration>()
                let trace = Trace { if case .attempt(2, of: 3, let after) = $0.action { delays.add(after) } }
                let client = try await Connection.connect(
                    racing: [closed.address, closed.address.with(port: 9), listener.address], trace: trace, by: face)
                #expect(client.remoteAddress == listener.address)
                shortest = min(shortest, try #require(delays.all.first))
                client.close()
            }
            #expect(shortest < .milliseconds(250))
            closed.close()
            listener.close()
        }
    }

    /// Also while an earlier attempt is still under way.
    @Test(arguments: Face.allCases)
    func afterARefusalBehindADeadOneTheNextBeginsAtOnce(_ face: Face) async throws {
        try await trial { _ in
            let (dead, closed) = (try Blackhole(), try closedPort())
            let listener = try Listener(on: "127.0.0.2:0")
            var shortest = Duration.seconds(100)
            for _ in 0..<40 where shortest >= .milliseconds(250) {
                let delays = Notes<Duration>()
                let trace = Trace { if case .attempt(2..., of: 3, let after) = $0.action { delays.add(after) } }
                let client = try await Connection.connect(
                    racing: [dead.address, closed.address, listener.address], trace: trace, by: face)
                #expect(client.remoteAddress == listener.address)
                #expect(delays.all.count == 2)
                shortest = min(shortest, try #require(delays.all.last) - (try #require(delays.all.first)))
                client.close()
            }
            #expect(shortest < .milliseconds(250))
            closed.close()
            listener.close()
        }
    }

    @Test(arguments: Face.allCases)
    func anAddressThatAnswersLateCanStillWin(_ face: Face) async throws {
        try await trial { ledger in
            let slow = try Blackhole("127.0.0.1")
            let dead = try Blackhole("127.0.0.2")
            async let connecting = Connection.connect(racing: [slow.address, dead.address], by: face)
            try await ledger.sees(.connect, 2)
            slow.open()
            let client = try await connecting
            #expect(client.remoteAddress == slow.address)
            #expect(ledger.open.count == 1)
            client.close()
        }
    }

    @Test(arguments: Face.allCases)
    func whenAllRefuseTheFirstOnesRefusalIsTold(_ face: Face) async throws {
        try await trial { ledger in
            let (one, two) = (try closedPort(), try closedPort("[::1]"))
            do {
                _ = try await Connection.connect(racing: [one.address, two.address], by: face)
                Issue.record("nobody listens")
            } catch let error as SocketError {
                #expect("\(error)" == "connect tcp \(one.address): connection refused")
            }
            #expect(ledger.count(of: .connect) == 2)
            one.close()
            two.close()
        }
    }

    /// Also when it comes after the others': it is about the address that was to be preferred.
    @Test(arguments: Face.allCases)
    func aFirstRefusalThatComesLastIsTold(_ face: Face) async throws {
        try await trial { ledger in
            // An address of its own, so that nobody else gets the port.
            var late: Blackhole? = try Blackhole(loopbackAddress())
            let (first, closed) = (try #require(late?.address), try closedPort())
            async let ended: SocketError? = {
                do throws {
                    _ = try await Connection.connect(racing: [first, closed.address], by: face)
                    return nil
                } catch {
                    return error as? SocketError
                }
            }()
            try await ledger.sees(.connect, 2)
            // The system knocks again after a second, and then nobody listens.
            late = nil
            let told = try #require(await ended)
            #expect("\(told)" == "connect tcp \(first): connection refused")
            closed.close()
        }
    }

    /// The peer's own answer says more than that there is no way to another of its addresses, whichever came first.
    @Test(arguments: Face.allCases, [Errno.networkUnreachable, .noRouteToHost, .timedOut, .permissionDenied])
    func theErrorOfTheAttemptThatGotFurthestIsTold(_ face: Face, _ failure: Errno) async throws {
        try await trial { ledger in
            let closed = try closedPort()
            let other = closed.address.with(port: 9)
            for calls in 0..<2 {
                ledger.letAllPass()
                ledger.make(.connect, .fail(failure), after: calls)
                let addresses = calls == 0 ? [other, closed.address] : [closed.address, other]
                do {
                    _ = try await Connection.connect(racing: addresses, by: face)
                    Issue.record("nobody listens")
                } catch let error as SocketError {
                    #expect(error.cause == .system(.connectionRefused) && error.remote == closed.address)
                }
            }
            closed.close()
        }
    }

    @Test(arguments: Face.allCases)
    func aFamilyThatTheMachineDoesNotHaveIsSkippedAtOnce(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            ledger.make(.socket, .fail(.addressFamilyNotSupported))
            let client = try await Connection.connect(
                racing: [.ipv6(.loopback, port: 9), listener.address], by: face)
            #expect(client.remoteAddress == listener.address)
            ledger.make(.socket, .fail(.addressFamilyNotSupported), times: 2)
            let ended = try await cause {
                try await Connection.connect(racing: [.ipv6(.loopback, port: 9), listener.address], by: face)
            }
            #expect(ended == .system(.addressFamilyNotSupported))
            client.close()
            listener.close()
        }
    }

    // MARK: - What ends all attempts

    @Test(arguments: Face.allCases)
    func theTimeOutIsForAllTogether(_ face: Face) async throws {
        try await trial { ledger in
            let dead = try [Blackhole("127.0.0.1"), Blackhole("127.0.0.2"), Blackhole("127.0.0.3")]
            let start = ContinuousClock.now
            do {
                _ = try await Connection.connect(
                    racing: dead.map(\.address), timeout: .milliseconds(400), by: face)
                Issue.record("nobody answers")
            } catch let error as SocketError {
                #expect("\(error)" == "connect tcp \(dead[0].address): timed out")
            }
            let took = ContinuousClock.now - start
            #expect(took >= .milliseconds(400) && took < patience)
            // The third's turn would have come after half a second.
            #expect(ledger.count(of: .connect) <= 2 && ledger.open.isEmpty)
        }
    }

    @Test(arguments: Face.allCases)
    func noTimeAtAllIsNoAttempt(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let ended = try await cause {
                try await Connection.connect(racing: [listener.address, listener.address], timeout: .zero, by: face)
            }
            #expect(ended == .timedOut && ledger.count(of: .connect) == 0)
            listener.close()
        }
    }

    @Test func aCancellationEndsAllAttemptsAtOnce() async throws {
        try await trial { ledger in
            let dead = try [Blackhole("127.0.0.1"), Blackhole("127.0.0.2")]
            let addresses = dead.map(\.address)
            let task = Task { try await cause { try await Connection.connect(racing: addresses, by: .task) } }
            try await ledger.sees(.connect, 2)
            #expect(ledger.open.count == 2)
            task.cancel()
            #expect(try await within { try await task.value } == .cancelled)
            // The loop may be about to take one of them in.
            try await eventually(patience, "the attempts' end") { ledger.open.isEmpty }
        }
    }

    @Test func aTaskThatIsCancelledAlreadyBeginsNoAttempt() async throws {
        try await trial { (ledger) async throws in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await cause { try await Connection(to: ":9") }
            }
            #expect(try await task.value == .cancelled)
            #expect(ledger.count(of: .connect) == 0)
        }
    }

    @Test func theEndOfTheLoopEndsAllAttemptsAtOnce() async throws {
        try await trial { ledger in
            let dead = try [Blackhole("127.0.0.1"), Blackhole("127.0.0.2")]
            let addresses = dead.map(\.address)
            let group = try EventLoopGroup(loops: 1)
            let task = Task(executorPreference: group.loops[0]) {
                try await cause { try await Connection.connect(racing: addresses, by: .task) }
            }
            try await ledger.sees(.connect, 2)
            group.close()
            #expect(try await within { try await task.value } == .closed)
        }
    }

    /// Cancelled at any moment, a race leaves nothing: the ledger counts.
    @Test func manyRacesThatAreCancelledAtAnyMomentLeaveNothing() async throws {
        try await trial { ledger in
            let dead = try Blackhole()
            let listener = try Listener(on: "127.0.0.2:0")
            let closed = try closedPort()
            let addresses = [closed.address, dead.address, closed.address, listener.address]
            await withTaskGroup(of: Void.self) { group in
                for round in 0..<60 {
                    group.addTask {
                        let race = Task { try await Connection.connect(racing: addresses, by: .task) }
                        let alarm = Task {
                            try? await EventLoop.sleep(for: .milliseconds(round * 6))
                            race.cancel()
                        }
                        (try? await race.value)?.close()
                        alarm.cancel()
                    }
                }
            }
            try await eventually(patience, "the attempts' end") { ledger.open.count == 2 }
            listener.close()
            closed.close()
        }
    }

    // MARK: - What was true of one address

    @Test(arguments: Face.allCases)
    func anInterruptedConnectGoesOnByItself(_ face: Face) async throws {
        try await trial { ledger in
            let listener = try Listener(on: "127.0.0.1:0")
            let dead = try Blackhole()
            ledger.make(.connect, .fail(.interrupted), times: 2)
            ledger.make(.poll, .fail(.interrupted), times: 3)
            let client = try await Connection.connect(racing: [dead.address, listener.address], by: face)
            #expect(client.remoteAddress == listener.address && ledger.count(of: .connect) == 2)
            client.close()
            listener.close()
        }
    }

    /// B6: coming from the very port that it goes to, TCP connects a socket to itself. Tried again a few times, then told.
    @Test(arguments: Face.allCases)
    func aConnectionToItselfWinsNoRace(_ face: Face) async throws {
        try await trial { ledger in
            let free = try Listener(bound: Endpoint("127.0.0.1:0"))
            let address = free.address
            free.close()
            let other = try SocketAddress("127.0.0.2:\(try #require(address.port))")
            do {
                _ = try await Connection.connect(racing: [address, other], from: address, by: face)
                Issue.record("nobody listens")
            } catch let error as SocketError {
                #expect("\(error)" == "connect tcp \(address): connection refused")
            }
            #expect(ledger.count(of: .connect) == 4)
        }
    }

    @Test func theFaceThatBlocksIsRefusedOnALoop() async throws {
        try await trial { ledger in
            let group = try EventLoopGroup(loops: 1)
            func connectBlocking(_ endpoint: String) throws { _ = try Connection(to: endpoint) }
            for endpoint in [":9", "localhost:9", "127.0.0.1:9"] {
                let task = Task(executorPreference: group.loops[0]) {
                    try await cause { try connectBlocking(endpoint) }
                }
                guard case .misuse = try await task.value else {
                    Issue.record("it blocked the loop")
                    continue
                }
            }
            #expect(ledger.count(of: .connect) == 0)
            group.close()
        }
    }

    // MARK: - What is told

    @Test(arguments: Face.allCases)
    func theTraceTellsEachAttemptsStartAndEnd(_ face: Face) async throws {
        try await trial { _ in
            let lines = Lines()
            let (closed, dead) = (try closedPort(), try Blackhole("127.0.0.3"))
            let listener = try Listener(on: "127.0.0.2:0")
            let addresses = [closed.address, dead.address, listener.address]
            let client = try await Connection.connect(
                racing: addresses, trace: .lines { lines.add($0) }, by: face)
            let told = lines.all.filter { !$0.hasPrefix("created ") }
            #expect(told.count == 7)
            #expect(told[0] == "attempt 1 of 3: \(closed.address)")
            #expect(told[1].hasPrefix("\(closed.address): connect "))
            #expect(told[1].hasSuffix(" it failed: connection refused"))
            #expect(told[2].hasPrefix("attempt 2 of 3: \(dead.address), "))
            let third = /attempt 3 of 3: (.*), \d+\.\d{3} s after the first/
            #expect(try #require(told[3].wholeMatch(of: third)).1 == "\(listener.address)")
            let lost = /(.*): connect waited \d+\.\d{3} s, until it lost the race/
            #expect(try #require(told[4].wholeMatch(of: lost)).1 == "\(dead.address)")
            #expect(told[5].hasPrefix("\(listener.address): connect "))
            #expect(told[5].hasSuffix("the peer's system answered"))
            #expect(told[6].hasPrefix("connected <socket fd="))
            client.close()
            closed.close()
            listener.close()
        }
    }
}
