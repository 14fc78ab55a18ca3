import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A client who is slow to read, or goes on speaking when all is over, gets what is his.
@Suite("DatagramRelay: a stream's last words", .inTurn, .timeLimit(.minutes(10)))
struct StreamToDatagramsEndTests {
    /// The silence that ends answers begins when the last was sent.
    @Test func answersThatCameWhileTheLastWereSentAreNotLost() async throws {
        let sides = FramedSides(stream: .unix, datagrams: .unixPath, framing: .length)
        try await relayingClients(sides, linger: .milliseconds(100)) { listener, behind, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send(sides.framed([1]))
            try client.finishSending()
            let question = try await behind.receive()
            let content = pattern(8000)
            // Until nothing has moved for much longer than that silence.
            behind.idleTimeout = .milliseconds(500)
            var count = 0
            await #expect(throws: SocketError.self) {
                while true {
                    try await behind.send(content, to: question.sender)
                    count += 1
                }
            }
            let answers = await rest(of: client)
            #expect(answers.bytes.count == count * sides.framed(content).count && answers.cause == nil)
            try await eventually { ended.value == 1 }
            let relay = try #require(begun.all.first)
            #expect(relay.back.messages == UInt64(count) && relay.lost == 0 && relay.back.failure == nil)
            client.close()
        }
    }

    /// More than his own queue holds: what a reset drops is what the relay's still has.
    @Test func whoSpeaksBehindTheEndStillGetsTheAnswers() async throws {
        let sides = FramedSides(stream: .tcp4, datagrams: .unixPath, framing: .length)
        try await withTime(.seconds(3)) { idle in
            try await relayingClients(sides, idleTimeout: idle) { listener, behind, begun, ended in
                let client = try await Connection(to: listener.endpoint)
                try await client.send(sides.framed([1]))
                let question = try await behind.receive()
                let content = pattern(20_000)
                for _ in 0..<20 { try await behind.send(content, to: question.sender) }
                try await eventually { begun.all.first?.forth.failure?.cause == .timedOut }
                let end = ContinuousClock.now
                for _ in 0..<20 {
                    try? await client.send(sides.framed([2]))
                    try await Task.sleep(for: .milliseconds(5))
                }
                try? client.finishSending()
                // A client that takes nothing for two seconds is reset before it has all.
                let isLate = ContinuousClock.now - end > .seconds(1)
                // What ended by its idle time is reset, when all has arrived.
                let answers = await rest(of: client)
                client.close()
                if isLate, answers.bytes.count < 20 * sides.framed(content).count { throw TooSlow() }
                #expect(answers.bytes.count == 20 * sides.framed(content).count)
                #expect(answers.cause == .system(.connectionReset))
                try await eventually { ended.value == 1 }
            }
        }
    }

    @Test func whatItFailedWithFirstIsNotForgottenWhenItIsIdle() async throws {
        let sides = FramedSides(stream: .tcp4, datagrams: .udp4, framing: .lines)
        try await relayingClients(sides, idleTimeout: .milliseconds(200)) { listener, _, begun, ended in
            let client = try await Connection(to: listener.endpoint)
            try await client.send([UInt8](repeating: 0x61, count: Framing.longest + 1))
            _ = await rest(of: client)
            client.close()
            try await eventually { ended.value == 1 }
            #expect(begun.all.first?.forth.failure?.cause == .lineTooLong(limit: Framing.longest))
        }
    }

    @Test func aFrameThatIsCutEndsByAReset() async throws {
        try await trial { _ in
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let client = try await Connection(to: listener.endpoint)
            let near = try await listener.accept()
            // So that a frame goes in many parts.
            try near.setOption(.sendBuffer, to: 4096)
            let behind = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let relay = DatagramRelay(
                near, try await DatagramSocket(to: behind.endpoint), framing: .length, idleTimeout: .seconds(1))
            let ended = Counter()
            let running = Task {
                await relay.run()
                ended.add()
            }
            try await client.send([0, 1, 1])
            let question = try await behind.receive()
            let content = pattern(60_001)
            behind.idleTimeout = .milliseconds(200)
            while ended.value == 0 { _ = try? await behind.send(content, to: question.sender) }
            await running.value
            let answers = await rest(of: client)
            #expect(answers.cause == .system(.connectionReset))
            #expect(relay.back.bytes.isMultiple(of: 60_001) && relay.back.lost > 0)
            #expect(relay.back.bytes / 60_001 + relay.back.lost == relay.back.messages)
            client.close()
            listener.close()
            behind.close()
        }
    }

    /// A limit is for each wait, so it takes longer here than any of them may.
    @Test func whoReadsSteadilyGetsAllHoweverLongItTakes() async throws {
        try await trial { _ in
            let (near, client) = try Connection.pair()
            let behind = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            try near.setOption(.sendBuffer, to: 4096)
            let relay = DatagramRelay(
                near, try await DatagramSocket(to: behind.endpoint), framing: .length, linger: .milliseconds(100))
            let running = Task { await relay.run() }
            let framed = FramedSides(stream: .unix, datagrams: .unixPath, framing: .length).framed
            try await client.send(framed([1]))
            try client.finishSending()
            let content = pattern(60_000)
            try await behind.send(content, to: try await behind.receive().sender)
            var received: [UInt8] = []
            while let bytes = try await client.receive(upTo: 4000) {
                received += bytes
                try await Task.sleep(for: .milliseconds(450))
            }
            #expect(received == framed(content))
            await running.value
            #expect(relay.back.failure == nil && relay.lost == 0)
            client.close()
            behind.close()
        }
    }
}
