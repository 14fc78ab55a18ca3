import Sockets
import TestSupport
import Testing

/// What every connection carries: over each kind of transport, by both faces.
@Suite(.inTurn) struct ContractTransferTests {
    @Test(arguments: Kind.allCases, Face.allCases)
    func aMebibyteGoesBothWaysAtOnce(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let there = pattern(1 << 20, seed: 1)
            let back = pattern(1 << 20, seed: 2)
            async let sentThere: Void = {
                try await client.send(there, by: face)
                try client.finishSending()
            }()
            async let sentBack: Void = {
                try await server.send(back, by: face)
                try server.finishSending()
            }()
            async let gotThere = server.receiveAll(by: face)
            async let gotBack = client.receiveAll(by: face)
            #expect(try await gotThere == there)
            #expect(try await gotBack == back)
            _ = try await (sentThere, sentBack)
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aMessageComesBackAsOftenAsItIsReturned(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            async let echo: Void = {
                while let message = try await server.receive(upTo: 1024, by: face) {
                    try await server.send(message, by: face)
                }
            }()
            for round in 0..<200 {
                let message = pattern(1 + round, seed: UInt64(round))
                try await client.send(message, by: face)
                #expect(try await client.receive(exactly: message.count, by: face) == message)
            }
            try client.finishSending()
            try await echo
        }
    }

    /// Each sender's messages are one letter, repeated; a message that another's bytes got into is seen.
    @Test(arguments: Kind.allCases, Face.allCases)
    func sendsOfManyNeverMix(_ kind: Kind, _ face: Face) async throws {
        let size = 40_000
        try await trial(over: kind) { ledger, client, server, listener in
            try await withThrowingTaskGroup(of: Void.self) { senders in
                for letter in UInt8(ascii: "a")...UInt8(ascii: "h") {
                    let message = [UInt8](repeating: letter, count: size)
                    senders.addTask {
                        switch face {
                        case .task: for _ in 0..<10 { try await client.send(message) }
                        case .thread: try await onThread { for _ in 0..<10 { try client.send(message) } }
                        }
                    }
                }
                var counts: [UInt8: Int] = [:]
                for _ in 0..<80 {
                    let message = try #require(try await server.receive(exactly: size, by: face))
                    #expect(Set(message).count == 1)
                    counts[message[0], default: 0] += 1
                }
                #expect(counts.count == 8 && counts.values.allSatisfy { $0 == 10 })
                try await senders.waitForAll()
            }
        }
    }

    /// Many receivers share what comes: every whole message goes to exactly one of them.
    @Test(arguments: Kind.allCases, Face.allCases)
    func receivesOfManyTakeWholeMessages(_ kind: Kind, _ face: Face) async throws {
        let size = 3_000
        try await trial(over: kind) { ledger, client, server, listener in
            let numbers = try await withThrowingTaskGroup(of: [UInt8].self) { receivers in
                for _ in 0..<6 {
                    receivers.addTask {
                        var got: [UInt8] = []
                        while let message = try await server.receive(exactly: size, by: face) {
                            #expect(Set(message).count == 1)
                            got.append(message[0])
                        }
                        return got
                    }
                }
                for number in 0..<120 as Range<UInt8> {
                    try await client.send([UInt8](repeating: number, count: size), by: face)
                }
                try client.finishSending()
                return try await receivers.reduce(into: []) { $0 += $1 }
            }
            #expect(numbers.sorted() == Array(0..<120))
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func nothingSentIsNoEndOfStream(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try await client.send([], by: face)
            #expect(ledger.count(of: .send) == 0)
            try await client.send([7], by: face)
            #expect(try await server.receive(upTo: 10, by: face) == [7])
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aReceiveOfZeroBytesIsRefusedAndAnEmptyFrameIsThereAtOnce(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            #expect(try await isMisuse { try await server.receive(upTo: 0, by: face) })
            try await client.send([1, 2, 3], by: face)
            // Less than asked for, so the connection may know that nothing is left; that is no reason to wait.
            #expect(try await server.receive(upTo: 10, by: face) == [1, 2, 3])
            #expect(try await isMisuse { try await server.receive(upTo: 0, by: face) })
            #expect(try await isMisuse { try await server.receive(upTo: -1, by: face) })
            #expect(try await isMisuse { try await server.receive(exactly: -1, by: face) })
            let none = try await within(patience, "an empty exact receive") {
                try await server.receive(exactly: 0, by: face)
            }
            #expect(none == [])
            try client.finishSending()
            #expect(try await server.receive(upTo: 1, by: face) == nil)
            #expect(try await isMisuse { try await server.receive(upTo: 0, by: face) })
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aLargeSendWaitsForAPeerThatDoesNotReadAndGoesOnWhenItDoes(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            let all = pattern(4 << 20)
            async let sending: Void = {
                try await client.send(all, by: face)
                try client.finishSending()
            }()
            try await ledger.sees(.send, 2)
            #expect(try await server.receiveAll(by: face) == all)
            try await sending
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aSendToAPeerThatDoesNotReadIsBounded(_ kind: Kind, _ face: Face) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            try client.narrow(to: server)
            let all = pattern(4 << 20)
            client.sendDeadline = .after(.milliseconds(200))
            #expect(try await cause { try await client.send(all, by: face) } == .timedOut)
            // It waited instead of trying again and again, and the kernel holds what it will.
            #expect(ledger.count(of: .send) < 200)
            #expect(try client.unacknowledged < 1 << 20)
        }
    }
}
