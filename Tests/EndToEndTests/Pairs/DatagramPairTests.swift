import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The contract over every pair of datagram endpoints that a relay joins.
@Suite(
    "The contract for datagrams, over every pair", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct DatagramPairTests {
    @Test(arguments: DatagramPair.all)
    func eachSenderGetsItsOwnAnswer(pair: DatagramPair) async throws {
        try await joining(pair) { joined in
            let senders = try (0..<8).map { _ in try joined.sender() }
            for round in 0..<2 {
                for (number, sender) in senders.enumerated() { try sender.send("\(round) of \(number)") }
                let questions = try senders.map { _ in try joined.behind.receive() }
                // The last to ask is the first to be answered.
                for question in questions.reversed() {
                    try joined.behind.answer(question, Array("to ".utf8) + question.bytes)
                }
                for (number, sender) in senders.enumerated() {
                    #expect(try sender.receive() == Array("to \(round) of \(number)".utf8))
                }
            }
            #expect(senders.allSatisfy { !$0.hasNews() })
            try await joined.ends()
        }
    }

    @Test(arguments: DatagramPair.all)
    func anEmptyDatagramIsOneBothWays(pair: DatagramPair) async throws {
        try await joining(pair) { joined in
            let sender = try joined.sender()
            for bytes in [[], Array("between".utf8), []] {
                try sender.send(bytes)
                let question = try joined.behind.receive()
                #expect(question.bytes == bytes)
                try joined.behind.answer(question, bytes)
                #expect(try sender.receive() == bytes)
            }
            try await joined.ends()
        }
    }

    @Test(arguments: DatagramPair.all)
    func theLargestThatFitsCrossesWholeBothWays(pair: DatagramPair) async throws {
        try await joining(pair) { joined in
            let sender = try joined.sender()
            let largest = (0..<pair.largest).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try sender.send(largest)
            let question = try joined.behind.receive()
            #expect(question.bytes == largest)
            try joined.behind.answer(question, largest.reversed())
            #expect(try sender.receive() == largest.reversed())
            try await joined.ends()
        }
    }

    @Test(arguments: DatagramPair.all)
    func eachSendersDatagramsStayInOrder(pair: DatagramPair) async throws {
        try await joining(pair) { joined in
            let senders = try (0..<3).map { _ in try joined.sender() }
            var next = [0, 0, 0]
            // No more at once than any queue on the way keeps; a Unix socket's is ten long.
            for start in stride(from: 0, to: 300, by: 3) {
                for count in start..<start + 3 {
                    for (number, sender) in senders.enumerated() {
                        try sender.send([UInt8(number), UInt8(count % 256)])
                    }
                }
                for _ in 0..<9 {
                    let bytes = try joined.behind.receive().bytes
                    let number = Int(bytes.first ?? 0)
                    #expect(bytes == [UInt8(number), UInt8(next[number] % 256)])
                    next[number] += 1
                }
            }
            #expect(next == [300, 300, 300])
            try await joined.ends()
        }
    }

    @Test(arguments: DatagramPair.all)
    func aTargetThatIsNotThereIsToldAndItGoesOn(pair: DatagramPair) async throws {
        try await joining(pair, isOpen: false) { joined in
            let sender = try joined.sender()
            try await eventually(patience, "a word of nobody") {
                // The network tells of the first with the second.
                _ = sender.trySending(Array("lost".utf8))
                return joined.relay.errors.lines.contains {
                    $0.contains(pair.wordForNobody) && !$0.contains("listening")
                }
            }
            #expect(joined.relay.ending == nil)
            try joined.behind.open()
            try await eventually(patience, "a datagram that arrives") {
                _ = sender.trySending(Array("found".utf8))
                return joined.behind.hasNews(within: 10)
            }
            var question = try joined.behind.receive()
            while question.bytes == Array("lost".utf8) { question = try joined.behind.receive() }
            #expect(question.bytes == Array("found".utf8))
            try joined.behind.answer(question, Array("welcome".utf8))
            #expect(try sender.receive() == Array("welcome".utf8))
            // Said once, not for each.
            #expect(joined.relay.errors.lines.count < 5, "\(joined.relay.errors.text)")
            try await joined.ends()
        }
    }

    @Test(arguments: DatagramPair.all)
    func aSilentSendersSessionEndsAndItsNextDatagramBeginsAnother(pair: DatagramPair) async throws {
        try await joining(pair, "--idle-timeout", "100ms", "--events", "json") { joined in
            let sender = try joined.sender()
            for round in 1...2 {
                try sender.send("round \(round)")
                let question = try joined.behind.receive()
                #expect(question.bytes == Array("round \(round)".utf8))
                try await eventually(patience, "the session's end") {
                    joined.relay.errors.lines.count { $0.contains("\"closed\"") && !$0.contains("\"client\"") } == round
                }
            }
            try await joined.ends()
            #expect(joined.relay.errors.lines.count { $0.contains("\"accepted\"") } == 2)
        }
    }

    @Test(arguments: DatagramPair.all)
    func theEventsTellWhatReallyMoved(pair: DatagramPair) async throws {
        try await joining(pair, "--events", "json") { joined in
            let sender = try joined.sender()
            for text in ["hello", "", "world!"] {
                try sender.send(text)
                let question = try joined.behind.receive()
                try joined.behind.answer(question, question.bytes + question.bytes)
                #expect(try sender.receive().count == text.utf8.count * 2)
            }
            try await joined.ends()
            let events = try await Events.checked(joined.relay.errors.bytes)
            #expect(events.first == "listening endpoint=\(joined.place)", "\(events)")
            let client = "connection=1 peer=\(sender.name)"
            #expect(events.contains { $0 == "accepted \(client) endpoint=\(joined.place)" }, "\(events)")
            #expect(
                events.contains { $0.hasPrefix("connected connection=2 ") && $0.contains(" client=1") }, "\(events)")
            #expect(
                events.contains { $0.hasPrefix("closed \(client) received=11 sent=22 messages=3") }, "\(events)")
            #expect(
                events.contains {
                    $0.hasPrefix("closed connection=2 ") && $0.contains(" received=22 sent=11 messages=3")
                }, "\(events)")
            #expect(
                events.last?.hasPrefix("totals clients=1 received=11 sent=22 messages=3 errors=0") == true, "\(events)")
        }
    }

    @Test(arguments: DatagramPair.all, endingSignals)
    func theFirstSignalLetsKnownSendersGoOnAndTheSecondEndsAtOnce(
        pair: DatagramPair, signal: CInt
    ) async throws {
        try await joining(pair, "--linger", "1h", "--grace", "1h") { joined in
            let sender = try joined.sender()
            try sender.send("before")
            let question = try joined.behind.receive()
            joined.relay.send(signal)
            try await eventually(patience, "hearing the signal") { !joined.relay.isPending(signal) }
            try joined.behind.answer(question, Array("after".utf8))
            #expect(try sender.receive() == Array("after".utf8))
            joined.relay.send(signal)
            #expect(try await joined.relay.end() == -signal, "\(joined.relay.errors.text)")
        }
    }
}
