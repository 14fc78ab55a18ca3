import Loops
import Sockets
import TestSupport
import Testing

/// What ends a send after a part of its message was sent.
enum Cut: String, CaseIterable, Sendable {
    case cancellation, deadline, failure

    var cause: SocketError.Cause {
        switch self {
        case .cancellation: .cancelled
        case .deadline: .timedOut
        case .failure: .system(.noBufferSpace)
        }
    }
}

/// A kind of stream, a face, and what cuts the message.
struct CutSetup: Sendable, CustomTestStringConvertible {
    let kind: Kind
    let face: Face
    let cut: Cut

    var testDescription: String { "\(kind) \(face) \(cut)" }

    /// A thread's send cannot be cancelled.
    static let all = Kind.allCases.flatMap { kind in
        Face.allCases.flatMap { face in
            Cut.allCases.filter { face == .task || $0 != .cancellation }.map {
                CutSetup(kind: kind, face: face, cut: $0)
            }
        }
    }
    static let tcp = all.filter { $0.kind == .tcp4 }
}

/// After a send that ended in the middle of its message nothing is sent until the caller acknowledges that.
@Suite(.inTurn) struct CutMessageTests {
    static let message = pattern(1 << 22)

    @Test(arguments: CutSetup.all)
    func everyLaterSendFailsUntilTheCutIsAcknowledged(_ setup: CutSetup) async throws {
        try await trial(over: setup.kind) { ledger, client, server, listener in
            let error = try await cutMessage(of: client, to: server, setup, ledger)
            let sent = error.bytesSent
            #expect(error.cause == setup.cut.cause)
            #expect(sent > 0 && sent < Self.message.count)
            #expect(client.cutMessage == sent)
            // The deadline that cut it is still past: the cut says more.
            for face in Face.allCases {
                #expect(try await cause { try await client.send([1], by: face) } == .messageCut(sent: sent))
            }
            client.sendDeadline = .never
            for face in Face.allCases {
                #expect(try await cause { try await client.send([1], by: face) } == .messageCut(sent: sent))
            }
            #expect(try await cause { try client.halves.sending.finish() } == .messageCut(sent: sent))
            #expect(client.acknowledgeCutMessage() == sent)
            #expect(client.cutMessage == nil)
            #expect(client.acknowledgeCutMessage() == nil)
            async let all = server.receiveAll()
            try await client.send([7, 8], by: setup.face)
            try client.finishSending()
            #expect(try await all == Self.message.prefix(sent) + [7, 8])
        }
    }

    @Test(arguments: CutSetup.tcp)
    func theRestCanFollowAfterTheAcknowledgement(_ setup: CutSetup) async throws {
        try await trial(over: setup.kind) { ledger, client, server, listener in
            let sent = try await cutMessage(of: client, to: server, setup, ledger).bytesSent
            client.sendDeadline = .never
            client.halves.sending.acknowledgeCutMessage()
            async let all = server.receive(exactly: Self.message.count)
            try await client.send(Array(Self.message[sent...]), by: setup.face)
            #expect(try await all == Self.message)
        }
    }

    @Test(arguments: CutSetup.all.filter { $0.cut != .failure })
    func aSendThatWaitedItsTurnFailsToo(_ setup: CutSetup) async throws {
        try await trial(over: setup.kind) { ledger, client, server, listener in
            async let ended = cutMessage(of: client, to: server, setup, ledger) {
                [
                    Task { try await cause { try await client.send([1]) } },
                    Task { try await cause { try await client.send([2], by: .thread) } },
                ]
            }
            let (error, others) = try await ended
            for other in others {
                let cause = try await other.value
                // One that came to the queue late may have met the past deadline there.
                #expect(cause == .messageCut(sent: error.bytesSent) || cause == .timedOut)
            }
            client.sendDeadline = .never
            client.acknowledgeCutMessage()
            async let all = server.receiveAll()
            try client.finishSending()
            #expect(try await all.count == error.bytesSent)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aSendOfWhichNothingWasSentCutsNothing(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            client.sendDeadline = .now
            let error = await #expect(throws: SocketError.self) { try await client.send([1, 2], by: face) }
            #expect(error?.bytesSent == 0)
            #expect(client.cutMessage == nil)
            client.sendDeadline = .never
            try await client.send([3], by: face)
            #expect(try await server.receive(upTo: 9) == [3])
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aCloseAfterACutIsAResetAndNoEnd(_ kind: Kind, _ face: Face) async throws {
        for finishes in [false, true] {
            try await trial(over: kind) { ledger, client, server, listener in
                _ = try await cutMessage(
                    of: client, to: server, CutSetup(kind: kind, face: face, cut: .deadline), ledger)
                if !finishes {
                    client.close()
                } else if face == .task {
                    await client.finishAndClose()
                } else {
                    try await onThread { client.finishAndClose() }
                }
                #expect(try await cause { try await server.receiveAll() } == .system(.connectionReset))
            }
        }
    }

    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func aCloseUnderASendIsAReset(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            async let send = cause { try await client.send(Self.message, by: face) }
            try await ledger.sees(.send, 2)
            client.close()
            #expect(try await send == .closed)
            #expect(try await cause { try await server.receiveAll() } == .system(.connectionReset))
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aCloseAfterTheAcknowledgementIsAnEnd(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let error = try await cutMessage(
                of: client, to: server, CutSetup(kind: kind, face: face, cut: .deadline), ledger)
            client.acknowledgeCutMessage()
            client.close()
            #expect(try await server.receiveAll().count == error.bytesSent)
        }
    }

    /// The kernel refuses what comes later by itself, and with a word that says more.
    @Test(arguments: Kind.allCases, Face.allCases)
    func whereThePeerEndedTheDirectionNoMessageCountsAsCut(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            let send = Task { try await failure { try await client.send(Self.message, by: face) } }
            try await ledger.sees(.send, 2)
            try server.reset()
            let error = try #require(try await send.value)
            #expect(error.isReset)
            #expect(error.bytesSent > 0)
            #expect(client.cutMessage == nil)
            #expect(try await cause { try await client.send([1], by: face) } == .system(.brokenPipe))
        }
    }

    // MARK: Where a server swallows the failure

    @Test func aServedClientWhoseMessageWasCutSeesAReset() async throws {
        try await trial { ledger in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let serving = Task {
                try await listener.serve { client in
                    try client.setOption(.sendBuffer, to: 16384)
                    client.sendDeadline = .after(.milliseconds(20))
                    try? await client.send(Self.message)
                }
            }
            let client = try await Connection(to: listener.endpoint)
            try client.setOption(.receiveBuffer, to: 16384)
            // Not before the message has been cut: a peer that reads in time would get all of it.
            try await eventually { client.isBroken }
            #expect(try await cause { try await client.receiveAll() } == .system(.connectionReset))
            listener.close()
            try await serving.value
        }
    }

    @Test func aMessageServersNextAnswerFails() async throws {
        try await trial { ledger in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let failures = Notes<SocketError.Cause>()
            let cuts = Notes<Bool>()
            let serving = Task {
                try await listener.serveMessages(onError: { _, error in
                    if let error = error as? SocketError { failures.add(error.cause) }
                }) { client, message in
                    if message == [1] {
                        try client.setOption(.sendBuffer, to: 16384)
                        client.sendDeadline = .after(.milliseconds(20))
                        try? await client.send(Self.message)
                        client.sendDeadline = .never
                        cuts.add(true)
                    } else {
                        try await client.send(message)
                    }
                }
            }
            let client = try await Connection(to: listener.endpoint)
            try client.setOption(.receiveBuffer, to: 16384)
            try await client.send([1])
            try await cuts.waits("the cut") { $0 }
            try await client.send([2])
            try await failures.waits("the next answer's failure") {
                if case .messageCut(let sent) = $0 { sent > 0 } else { false }
            }
            #expect(try await cause { try await client.receiveAll() } == .system(.connectionReset))
            listener.close()
            try await serving.value
        }
    }

    // MARK: Forwarding

    @Test(arguments: Setup.plain, Stage.allCases)
    func aForwardThatEndsInTheMiddleOfAMessageCutsIt(_ setup: Setup, _ stage: Stage) async throws {
        try await tryingForward(setup) { relay in
            let errors = Notes<SocketError>()
            let forward = relay.begin {
                do throws(SocketError) {
                    return try await relay.source.forward(to: relay.destination)
                } catch {
                    errors.add(error)
                    throw error
                }
            }
            let before = try await relay.exchange(stage)
            _ = try await relay.fill()
            forward.cancel()
            _ = try await forward.end()
            let error = try #require(errors.all.first)
            async let read = relay.reader.receive(exactly: error.bytesSent - before)
            if let cut = relay.destination.cutMessage {
                #expect(error.operation == .send)
                #expect(cut <= error.bytesSent)
                #expect(try await cause { try await relay.destination.send([1]) } == .messageCut(sent: cut))
                let again = try await cause { try await relay.sender.forward(to: relay.destination) }
                #expect(again == .messageCut(sent: cut))
            }
            // As many bytes have come as the error says, and no more.
            _ = try await read
            relay.destination.acknowledgeCutMessage()
            try await relay.destination.send([1, 2, 3])
            #expect(try await relay.reader.receive(upTo: 9) == [1, 2, 3])
        }
    }

    /// By the loop's buffer, from which a part of a message was sent.
    @Test(arguments: Setup.plain.filter { $0.kind == .tcp4 })
    func aForwardsCutMessageStopsTheNextForward(_ setup: Setup) async throws {
        try await tryingForward(setup) { relay in
            let forward = relay.forward()
            try await relay.exchange(.many)
            relay.ledger.make(.send, .shorten(to: 3))
            relay.ledger.make(.send, .fail(.noBufferSpace))
            // By hand, because the ledger would see the sender's own call first.
            #expect(try relay.sender.rawSend(pattern(100)) == 100)
            #expect(try await forward.end() == .failed(.send, .system(.noBufferSpace)))
            #expect(relay.destination.cutMessage == 3)
            #expect(try await relay.forward().end() == .failed(.send, .messageCut(sent: 3)))
        }
    }

    // MARK: -

    private func cutMessage(
        of client: Connection, to server: Connection, _ setup: CutSetup, _ ledger: Ledger
    ) async throws -> SocketError {
        try await cutMessage(of: client, to: server, setup, ledger) {}.0
    }

    /// Sends a message that is cut; calls `meanwhile` when a part of it has been sent.
    private func cutMessage<R: Sendable>(
        of client: Connection, to server: Connection, _ setup: CutSetup, _ ledger: Ledger,
        _ meanwhile: @Sendable () async throws -> R
    ) async throws -> (SocketError, R) {
        try client.narrow(to: server)
        let before = ledger.count(of: .send)
        if setup.cut == .failure {
            ledger.make(.send, .shorten(to: 1000))
            ledger.make(.send, .fail(.noBufferSpace))
        }
        let send = Task { try await failure { try await client.send(Self.message, by: setup.face) } }
        try await ledger.sees(.send, before + 2)
        let result = try await meanwhile()
        switch setup.cut {
        case .cancellation: send.cancel()
        case .deadline: client.sendDeadline = .now
        case .failure: break
        }
        return (try #require(try await send.value), result)
    }
}

/// The error of a body; nil when it did not fail.
private func failure(_ body: () async throws -> Void) async throws -> SocketError? {
    do {
        try await body()
        return nil
    } catch let error as SocketError {
        return error
    }
}
