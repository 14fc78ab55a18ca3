import Sockets
import SystemPackage
import TestSupport
import Testing

/// The forms of receiving above `receive(upTo:)`: an exact number, lines, sequences, a caller's buffer.
@Suite(.inTurn) struct ReceivingTests {
    @Test(arguments: Kind.allCases, Face.allCases)
    func anExactNumberIsGatheredFromPiecesAndTheRestStays(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let five = server.receive(exactly: 5, by: face)
            try await ledger.sees(.receive)
            try await client.send([1, 2])
            try await ledger.sees(.receive, 2)
            try await client.send([3, 4, 5, 6, 7])
            #expect(try await five == [1, 2, 3, 4, 5])
            #expect(try await server.receive(upTo: 1, by: face) == [6])
            #expect(try await server.receive(exactly: 1, by: face) == [7])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func anEndHalfWayIsAnErrorAndWhatCameStays(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2, 3])
            try client.finishSending()
            #expect(try await cause { try await server.receive(exactly: 5, by: face) } == .ended(received: 3))
            #expect(try await cause { try await server.receive(exactly: 4, by: face) } == .ended(received: 3))
            #expect(try await server.receive(exactly: 2, by: face) == [1, 2])
            #expect(try await server.receive(upTo: 9, by: face) == [3])
            #expect(try await server.receive(exactly: 5, by: face) == nil)
        }
    }

    @Test(arguments: Face.allCases)
    func atATimeoutWhatCameStays(_ face: Face) async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            try await client.send([1, 2, 3])
            server.receiveDeadline = .after(.milliseconds(30))
            #expect(try await cause { try await server.receive(exactly: 5, by: face) } == .timedOut)
            server.receiveDeadline = .after(.milliseconds(30))
            #expect(try await cause { try await server.receiveLine(by: face) } == .timedOut)
            server.receiveDeadline = .never
            try await client.send([4, 5])
            #expect(try await server.receive(exactly: 5, by: face) == [1, 2, 3, 4, 5])
        }
    }

    @Test(arguments: Face.allCases)
    func aHugeExactReceiveCostsWhatCameNotWhatWasAskedFor(_ face: Face) async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            try await client.send([1])
            try client.finishSending()
            #expect(try await cause { try await server.receive(exactly: .max, by: face) } == .ended(received: 1))
            #expect(try await server.receive(upTo: .max, by: face) == [1])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func linesEndWithLFOrCRLFAndTheLastMayLackIt(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send("one\ntwo\r\n\r\n\nthr\ree\nlast")
            try client.finishSending()
            for line in ["one", "two", "", "", "thr\ree", "last"] {
                #expect(try await server.receiveLine(by: face) == line)
            }
            #expect(try await server.receiveLine(by: face) == nil)
            #expect(try await server.receiveLine(by: face) == nil)
        }
    }

    @Test(arguments: Face.allCases)
    func aLineUpToTheLimitIsGivenAndALongerOneIsAnError(_ face: Face) async throws {
        try await trial(over: .tcp4) { ledger, client, server, listener in
            try await client.send("12345\n12345\r\n123456\nrest")
            #expect(try await server.receiveLine(upTo: 5, by: face) == "12345")
            #expect(try await server.receiveLine(upTo: 5, by: face) == "12345")
            #expect(try await cause { try await server.receiveLine(upTo: 5, by: face) } == .lineTooLong(limit: 5))
            // It stays, for whoever allows more, and the rest behind it.
            #expect(try await server.receiveLine(upTo: 6, by: face) == "123456")
            #expect(try await server.receive(exactly: 4, by: face) == Array("rest".utf8))
        }
    }

    @Test(arguments: Face.allCases)
    func anEndlessLineIsCutOffAtTheLimit(_ face: Face) async throws {
        try await trial(over: .unix) { ledger, client, server, listener in
            async let sending: SocketError.Cause? = cause {
                try await client.send([UInt8](repeating: 0x41, count: 1 << 22))
            }
            #expect(
                try await cause { try await server.receiveLine(upTo: 1000, by: face) }
                    == .lineTooLong(limit: 1000))
            // It has not read far past the limit: what it holds can be got without another call.
            let calls = ledger.count(of: .receive)
            #expect(calls <= 2)
            #expect(try await server.receive(upTo: 1 << 20, by: face)?.count ?? 0 <= 32768)
            #expect(ledger.count(of: .receive) == calls)
            client.close()
            _ = try await sending
        }
    }

    @Test(arguments: Face.allCases)
    func bytesThatAreNoTextAreReplacedInALineAndNeverTrap(_ face: Face) async throws {
        try await trial(over: .unix) { ledger, client, server, listener in
            try await client.send([0xff, 0x00, 0xc3, 0x0a, 0x80, 0x0a])
            #expect(try await server.receiveLine(by: face) == "\u{fffd}\0\u{fffd}")
            #expect(try await server.receiveLine(by: face) == "\u{fffd}")
        }
    }

    @Test(arguments: Kind.allCases)
    func linesLeftEarlyLoseNothing(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send("one\ntwo\nthree\nfour")
            try client.finishSending()
            var got: [String] = []
            for try await line in server.lines() {
                got.append(line)
                if got.count == 2 { break }
            }
            #expect(try await server.receive(exactly: 6) == Array("three\n".utf8))
            for try await line in server.lines() { got.append(line) }
            #expect(got == ["one", "two", "four"])
        }
    }

    @Test(arguments: Kind.allCases)
    func bytesAndMessagesEndWithTheStream(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let bytes = pattern(50_000)
            async let sending: Void = {
                try await client.send(bytes)
                try client.finishSending()
            }()
            var got: [UInt8] = []
            for try await byte in server.bytes() { got.append(byte) }
            #expect(got == bytes)
            try await sending

            async let answering: Void = {
                try await server.send(bytes)
                try server.finishSending()
            }()
            var pieces: [[UInt8]] = []
            for try await message in client.messages(upTo: 1000) { pieces.append(message) }
            #expect(pieces.allSatisfy { !$0.isEmpty && $0.count <= 1000 })
            #expect(Array(pieces.joined()) == bytes)
            try await answering
        }
    }

    @Test(arguments: Kind.allCases)
    func aSequenceEndsWithAnErrorWhenTheConnectionDoes(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let reading = Task {
                try await cause { for try await _ in server.lines() {} }
            }
            try await ledger.sees(.receive)
            server.close()
            let ended = try await reading.value
            #expect(ended == .closed)
        }
    }

    // MARK: - A caller's buffer

    @Test(arguments: Kind.allCases)
    func aCallersBufferIsFilledFromItsFreePart(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([1, 2, 3, 4, 5])
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
            defer { memory.deallocate() }
            var buffer = OutputRawSpan(buffer: memory, initializedCount: 0)
            buffer.append(9, as: UInt8.self)
            #expect(try await server.receive(into: &buffer) == 3)
            // Full: that is refused, and nothing is lost or taken for the end.
            do throws(SocketError) {
                _ = try await server.receive(into: &buffer)
                Issue.record("a buffer without room was taken")
            } catch {
                #expect(error.cause == .misuse("the number of bytes must be at least 1, and it is 0"))
            }
            _ = buffer.finalize(for: memory)
            #expect(Array(memory) == [9, 1, 2, 3])
            #expect(try await server.receive(upTo: 9) == [4, 5])
            try client.finishSending()
            var again = OutputRawSpan(buffer: memory, initializedCount: 0)
            #expect(try await server.receive(into: &again) == 0)
            #expect(again.byteCount == 0)
        }
    }

    @Test(arguments: Kind.allCases)
    func aCallersBufferIsFilledByAThread(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let received: [UInt8] = onThread {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
                defer { memory.deallocate() }
                var buffer = OutputRawSpan(buffer: memory, initializedCount: 0)
                while buffer.freeCapacity > 0 { _ = try server.receive(into: &buffer) }
                let count = buffer.finalize(for: memory)
                return Array(memory[..<count])
            }
            try await client.send([1, 2])
            try await client.send([3, 4, 5])
            #expect(try await received == [1, 2, 3, 4])
            #expect(try await server.receive(exactly: 1) == [5])
        }
    }

    @Test(arguments: Face.allCases)
    func spansAndTextAreSentWhole(_ face: Face) async throws {
        try await trial(over: .tcp6) { ledger, client, server, listener in
            let bytes = pattern(300)
            switch face {
            case .task:
                try await client.send(bytes.span.bytes)
                try await client.send("你好,世界")
                try await client.send("")
            case .thread:
                try await onThread {
                    try client.send(bytes.span.bytes)
                    try client.send("你好,世界")
                    try client.send("")
                }
            }
            try client.finishSending()
            #expect(try await server.receiveAll(by: face) == bytes + Array("你好,世界".utf8))
        }
    }
}
