import Loops
import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Transfers in bulk, which go from socket to socket by way of a pipe, and what makes them go another way.
@Suite("Relay: in bulk", .inTurn, .serialized, .timeLimit(.minutes(10))) struct RelayBulkTests {
    @Test(arguments: Sides.all)
    func muchArrivesAsItWasInBothDirectionsAtOnce(_ sides: Sides) async throws {
        try await relaying(sides, patience * 4) { ledger, relayed in
            try await exchange(256 << 20, 256 << 20, by: relayed)
            // From a Unix socket it seldom comes in pieces so large.
            if sides.front == .tcp4, sides.behind == .tcp4 { #expect(ledger.count(of: .splice) > 0) }
        }
    }

    /// Little and much in turn: the pipe is taken after two full reads, and left when little comes.
    @Test(arguments: Sides.all)
    func bulkAndSmallMessagesMayAlternate(_ sides: Sides) async throws {
        let (there, back) = (Tape(seed: 21), Tape(seed: 22))
        try await relaying(sides, patience * 4) { _, relayed in
            try await onThread {
                // Around the sizes at which it changes its way.
                let sizes = [
                    1, 4 << 20, 100, 65536, 1, 131_072, 16383, 3 << 20, 16384, 16385, 196_608, 2, 8 << 20, 1000, 65537,
                ]
                var place = 0
                for round in 0..<4 {
                    for size in sizes {
                        // More than fits on the way has to be read while it is sent.
                        let piece = place..<place + size + round
                        try both({ try there.send(piece, by: relayed.near) }) {
                            try there.expect(piece, from: relayed.far)
                        }
                        try both({ try back.send(piece, by: relayed.far) }) {
                            try back.expect(piece, from: relayed.near)
                        }
                        place = piece.upperBound
                    }
                }
                try relayed.near.finishSending()
                try relayed.far.finishSending()
                #expect(try there.expectUntilEnd(from: relayed.far).count == 0)
            }
            try await relayed.end()
            #expect(relayed.relay.forth.bytes == relayed.relay.back.bytes)
            #expect(relayed.relay.forth.failure == nil && relayed.relay.back.failure == nil)
        }
    }

    @Test(arguments: [Sides(.tcp4, .tcp4), Sides(.unix, .unix)])
    func spliceCallsThatMoveLittleLoseNothing(_ sides: Sides) async throws {
        try await relaying(sides, patience * 4) { ledger, relayed in
            for size in [1, 4096, 20_000, 65535] {
                ledger.make(.splice, .shorten(to: size), times: 100, after: size % 7)
            }
            try await exchange(32 << 20, 32 << 20, by: relayed)
        }
    }

    @Test(arguments: Sides.all, [0, 1, 2, 3, 4, 7, 100])
    func whereSpliceIsRefusedItGoesOnByCopying(_ sides: Sides, _ calls: Int) async throws {
        try await relaying(sides, patience * 4) { ledger, relayed in
            ledger.make(.splice, .fail(.invalidArgument), times: .max, after: calls)
            try await exchange(16 << 20, 16 << 20, by: relayed)
        }
    }

    /// A pool of pipes that nobody else has: in a process of its own.
    @Test func withoutDescriptorsForPipesItGoesOnByCopying() async throws {
        await #expect(processExitsWith: .success) {
            try await trial(patience * 4) { ledger in
                let group = try EventLoopGroup(loops: 1)
                defer { group.close() }
                ledger.make(.pipe, .fail(.tooManyOpenFiles), times: .max)
                // On a busy machine what comes may be read as fast as it comes, in pieces too small for a pipe.
                for _ in 0..<20 where ledger.count(of: .pipe) == 0 {
                    let relayed = try await Relayed(Sides(.tcp4, .tcp4), on: group.loops[0])
                    defer { relayed.close() }
                    try await exchange(64 << 20, 64 << 20, by: relayed)
                }
                #expect(ledger.count(of: .pipe) > 0)
                #expect(ledger.count(of: .splice) == 0)
            }
        }
    }

    /// There are 64 pipes at a time, for both directions of all relays.
    @Test func moreTransfersThanThereArePipesAreAllServed() async throws {
        await #expect(processExitsWith: .success) {
            try await trial(patience * 4) { ledger in
                let group = try EventLoopGroup(loops: 2)
                defer { group.close() }
                let before = descriptorCount()
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for number in 0..<48 {
                        tasks.addTask {
                            let loop = group.loops[number % 2]
                            let relayed = try await Relayed(Sides.all[number % 4], on: loop)
                            defer { relayed.close() }
                            try await exchange(6 << 20, 6 << 20, by: relayed)
                        }
                    }
                    try await tasks.waitForAll()
                }
                #expect(ledger.count(of: .splice) > 0)
                // Nothing stays but empty pipes that are kept.
                try await eventually(patience, "closing all but the pipes") { descriptorCount() <= before + 128 }
            }
        }
    }

    /// What was in a pipe when its transfer broke must never come out of it in another.
    @Test(arguments: Sides.all.indices)
    func whatABrokenTransferLeftInItsPipeIsNobodyElses(_ number: Int) async throws {
        await #expect(processExitsWith: .success) { [number] in
            let sides = Sides.all[number]
            try await trial(patience * 4) { ledger in
                let group = try EventLoopGroup(loops: 1)
                defer { group.close() }
                for round in 0..<6 {
                    let broken = try await Relayed(sides, on: group.loops[0])
                    let tape = Tape(seed: UInt64(round))
                    // Until all on the way is full, the pipe too.
                    _ = try await onThread { () -> Int in
                        var sent = 0
                        while sent < 1 << 28 {
                            let fd = try broken.near.withDescriptor { $0 }
                            var entry = pollfd(fd: fd, events: CShort(POLLOUT), revents: 0)
                            guard poll(&entry, 1, 200) == 1 else { break }
                            guard try broken.near.rawSend([UInt8](repeating: 0xee, count: 1 << 18)) > 0 else { break }
                            sent += 1 << 18
                        }
                        return sent
                    }
                    if round % 3 == 0 { try broken.far.reset() } else if round % 3 == 1 { broken.running.cancel() }
                    if round % 3 == 2 { try broken.near.reset() }
                    if round % 3 == 2 { broken.far.close() }
                    try await broken.end()
                    broken.close()
                    let whole = try await Relayed(sides, on: group.loops[0])
                    defer { whole.close() }
                    try await onThread {
                        try both({ try tape.send(0..<8 << 20, by: whole.near) }) {
                            try tape.expect(0..<8 << 20, from: whole.far)
                        }
                    }
                }
                if sides.front == .tcp4, sides.behind == .tcp4 { #expect(ledger.count(of: .splice) > 0) }
            }
        }
    }

    /// splice(2) knows no MSG_NOSIGNAL.
    @Test(arguments: Sides.all.indices)
    func aDestinationThatIsGoneKillsNobodyBySIGPIPE(_ number: Int) async throws {
        await #expect(processExitsWith: .success) { [number] in
            signal(SIGPIPE, SIG_DFL)
            var pipeSignal = sigset_t()
            sigemptyset(&pipeSignal)
            sigaddset(&pipeSignal, SIGPIPE)
            sigprocmask(SIG_UNBLOCK, &pipeSignal, nil)
            let sides = Sides.all[number]
            try await trial(patience * 4) { ledger in
                let group = try EventLoopGroup(loops: 1)
                defer { group.close() }
                for _ in 0..<10 {
                    let relayed = try await Relayed(sides, on: group.loops[0])
                    defer { relayed.close() }
                    let tape = Tape(seed: 1)
                    let sending = Task { try? await onThread { try tape.send(0..<1 << 34, by: relayed.near) } }
                    try await onThread { try tape.expect(0..<32 << 20, from: relayed.far) }
                    relayed.far.close()
                    _ = await sending.value
                    try await relayed.end()
                }
                if sides.front == .tcp4, sides.behind == .tcp4 { #expect(ledger.count(of: .splice) > 0) }
            }
        }
    }

    @Test func hundredsOfRelaysAtOnceWithRandomSizes() async throws {
        try await trial(patience * 4) { _ in
            let group = try EventLoopGroup(loops: 2)
            defer { group.close() }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for number in 0..<300 {
                    tasks.addTask {
                        var generator = SeededGenerator(seed: UInt64(number))
                        let relayed = try await Relayed(
                            Sides.all[number % 4], on: group.loops[number % 2], by: number % 5 == 0 ? .pool : .loop,
                            upTo: [1000, 16384, 65536][number % 3])
                        defer { relayed.close() }
                        for _ in 0..<3 {
                            let size = Int.random(in: 1...300_000, using: &generator)
                            let bytes = pattern(size, seed: generator.next())
                            async let sending: Void = relayed.near.send(bytes)
                            #expect(try await relayed.far.receive(exactly: size) == bytes)
                            try await sending
                            async let answering: Void = relayed.far.send(bytes)
                            #expect(try await relayed.near.receive(exactly: size) == bytes)
                            try await answering
                        }
                        if generator.oneIn(3) {
                            try relayed.near.reset()
                            relayed.far.close()
                        } else {
                            try relayed.near.finishSending()
                            #expect(try await relayed.far.receive(upTo: 9) == nil)
                            relayed.far.close()
                        }
                        try await relayed.end()
                    }
                }
                try await tasks.waitForAll()
            }
        }
    }
}

/// So many bytes in each direction at once, then the ends.
private func exchange(_ there: Int, _ back: Int, by relayed: Relayed) async throws {
    let (one, other) = (Tape(seed: 11), Tape(seed: 12))
    async let sending: Void = onThread {
        try one.send(0..<there, by: relayed.near)
        try relayed.near.finishSending()
    }
    async let answering: Void = onThread {
        try other.send(0..<back, by: relayed.far)
        try relayed.far.finishSending()
    }
    async let near = onThread { try other.expectUntilEnd(from: relayed.near) }
    let far = try await onThread { try one.expectUntilEnd(from: relayed.far) }
    #expect(far.count == there && far.error == nil)
    let got = try await near
    #expect(got.count == back && got.error == nil)
    try await sending
    try await answering
    try await relayed.end()
    #expect(relayed.relay.forth.bytes == UInt64(there) && relayed.relay.back.bytes == UInt64(back))
    #expect(relayed.relay.forth.failure == nil && relayed.relay.back.failure == nil)
}

/// Two things that need each other, each on a thread; the calling one does the second.
private func both(_ one: @escaping @Sendable () throws -> Void, _ other: () throws -> Void) throws {
    let ended = Notes<(any Error)?>()
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work { do { try one(); ended.add(nil) } catch { ended.add(error) } })
    guard
        pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, work.toOpaque()) == 0
    else { throw NeverHappened(what: "a thread") }
    let result = Result { try other() }
    pthread_join(thread, nil)
    try result.get()
    if let error = ended.all.first ?? nil { throw error }
}

private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// How many descriptors this process has open; only for one that does nothing else.
private func descriptorCount() -> Int {
    (0..<4096).count { fcntl($0, F_GETFD) >= 0 }
}
