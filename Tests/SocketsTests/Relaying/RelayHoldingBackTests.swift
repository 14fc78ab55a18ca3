import Loops
import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A side that does not read, and sides that say nothing.
@Suite("B11: a relay's side that does not read", .inTurn, .timeLimit(.minutes(10))) struct RelayHoldingBackTests {
    @Test(arguments: Sides.all, Runner.allCases)
    func whoDoesNotReadHoldsTheOtherBackAndNobodyElse(_ sides: Sides, _ runner: Runner) async throws {
        let tape = Tape(seed: 6)
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            defer { group.close() }
            let stuck = try await Relayed(sides, on: group.loops[0], by: runner, upTo: 4096, isNarrow: true)
            let other = try await Relayed(sides, on: group.loops[0], by: runner)
            defer {
                stuck.close()
                other.close()
            }
            // On a busy machine the relay may not have had its turn for as long as nothing went.
            let sent = try await onThread { try stuck.near.stuff(with: tape) { stuck.relay.forth.bytes < $0 } }
            // Four buffers of the kernel's, which doubles what it is told and counts more than the bytes, and one piece.
            #expect(sent < 512 << 10, "\(sent)")
            #expect(stuck.relay.forth.bytes < sent)
            // The other direction of the same relay goes on, and so do the others of the loop.
            for relayed in [stuck, other] {
                try await relayed.far.send([1])
                #expect(try await relayed.near.receive(upTo: 9) == [1])
            }
            try await other.near.send([2])
            #expect(try await other.far.receive(upTo: 9) == [2])
            try await onThread { try tape.expect(0..<sent, from: stuck.far) }
            try await onThread { try tape.send(sent..<sent + 100, by: stuck.near) }
            try await onThread { try tape.expect(sent..<sent + 100, from: stuck.far) }
            try await eventually(patience, "the count") { stuck.relay.forth.bytes == sent + 100 }
        }
    }

    @Test(arguments: [Sides(.tcp4, .tcp4), Sides(.unix, .unix)], Runner.allCases)
    func trafficInOneDirectionKeepsItAliveAndSilenceEndsIt(_ sides: Sides, _ runner: Runner) async throws {
        try await withTime(.milliseconds(200)) { idle in
            try await relaying(sides, by: runner, idleTimeout: idle) { _, relayed in
                let last = try await onThread {
                    let far = try relayed.far.withDescriptor { $0 }
                    var speaker = Speaker(idle: idle)
                    let start = ContinuousClock.now
                    while ContinuousClock.now - start < idle * 5 {
                        #expect(try speaker.says { try relayed.near.rawSend([1]) == 1 && readByte(far) == 1 })
                        usleep(useconds_t(idle / .microseconds(4)))
                    }
                    return ContinuousClock.now
                }
                #expect(relayed.relay.back.bytes == 0)
                try await relayed.end()
                #expect(ContinuousClock.now - last > idle / 2)
                #expect(relayed.relay.forth.failure?.cause == .timedOut)
                #expect(relayed.relay.back.failure?.cause == .timedOut)
            }
        }
    }

    @Test(arguments: [Sides(.tcp4, .tcp4), Sides(.unix, .unix)], Runner.allCases)
    func aSideThatNeverReadsEndsByTheIdleTimeToo(_ sides: Sides, _ runner: Runner) async throws {
        let tape = Tape(seed: 7)
        try await relaying(sides, by: runner, idleTimeout: .milliseconds(300), isNarrow: true) { _, relayed in
            _ = try? await onThread { try relayed.near.stuff(with: tape) }
            try await relayed.end()
            #expect(relayed.relay.forth.failure?.cause == .timedOut)
        }
    }

    /// Only when neither direction moves is a relay idle. Over TCP a window so small may stay shut for as long.
    @Test(arguments: Runner.allCases)
    func aStuckDirectionDoesNotEndTheOther(_ runner: Runner) async throws {
        let tape = Tape(seed: 8)
        try await withTime(.milliseconds(1000)) { idle in
            try await relaying(Sides(.unix, .unix), by: runner, idleTimeout: idle, isNarrow: true) { _, relayed in
                let sent = try await onThread { try relayed.near.stuff(with: tape) }
                try await onThread {
                    let near = try relayed.near.withDescriptor { $0 }
                    var speaker = Speaker(idle: idle)
                    let start = ContinuousClock.now
                    while ContinuousClock.now - start < idle * 4 {
                        #expect(try speaker.says { try relayed.far.rawSend([1]) == 1 && readByte(near) == 1 })
                        usleep(useconds_t(idle / .microseconds(8)))
                    }
                    try tape.expect(0..<sent, from: relayed.far)
                }
                #expect(relayed.relay.forth.failure == nil)
            }
        }
    }

    /// After one direction has ended it is the other alone that keeps the relay alive.
    @Test(arguments: Runner.allCases)
    func theIdleTimeHoldsAfterOneDirectionHasEnded(_ runner: Runner) async throws {
        try await relaying(Sides(.tcp4, .tcp4), by: runner, idleTimeout: .milliseconds(200)) { _, relayed in
            try relayed.near.finishSending()
            #expect(try await relayed.far.receive(upTo: 9) == nil)
            try await relayed.end()
            #expect(relayed.relay.forth.failure == nil)
            #expect(relayed.relay.back.failure?.cause == .timedOut)
        }
    }
}
