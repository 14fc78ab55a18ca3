import Loops
import SocketCore
import Sockets
import Synchronization
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The floods are counted in messages, not in time: a busy machine makes all of them slower alike.
@Suite("B33: one peer floods a loop that a hundred others share", .inTurn, .timeLimit(.minutes(10)))
struct FloodTests {
    private static let pingers = 100
    private static let rounds = 5
    /// A verb that never waits yields every so many times, and then the loop looks at its sockets.
    private static let bound = 64

    @Test(arguments: Kind.allCases)
    func theOthersAreServedBeforeTheFloodHasHadManyMessages(_ kind: Kind) async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: kind.endpoint)
            let (flooded, sentAt, joined) = (Counter(), Counter(), Counter())
            let late = Notes<Int>()
            let others = Lock<[Connection]>([])
            let serving = Task {
                try await listener.serve(on: group) { client in
                    guard try await client.receive(exactly: 1) == [0] else {
                        joined.add()
                        while try await client.receive(upTo: 16) != nil { late.add(flooded.value - sentAt.value) }
                        return
                    }
                    while try await client.receive(upTo: 1024) != nil {
                        let count = flooded.add()
                        guard count % 5000 == 0, count <= Self.rounds * 5000 else { continue }
                        // All pings come at a known message of the flood, while the loop is busy with it.
                        sentAt.raise(to: count)
                        for other in others.withLock({ $0 }) { try other.rawSend([2]) }
                    }
                }
            }
            for _ in 0..<Self.pingers {
                let other = try await Connection(to: listener.endpoint)
                try await other.send([1])
                others.withLock { $0.append(other) }
            }
            try await eventually(patience, "everybody's coming") { joined.value == Self.pingers }
            let flood = try await Connection(to: listener.endpoint)
            try await flood.send([0])
            let flooding = Task {
                try await onThread {
                    let piece = [UInt8](repeating: 7, count: 1 << 16)
                    while flooded.value < (Self.rounds + 1) * 5000 { try flood.send(piece) }
                }
            }
            try await flooding.value
            flood.close()
            try await eventually(patience, "the last ping") { late.all.count == Self.pingers * Self.rounds }
            let worst = late.all.max() ?? 0
            #expect(worst <= Self.bound, "a ping waited for \(worst) messages of the flood")
            for other in others.withLock({ $0 }) { other.close() }
            listener.close()
            try await serving.value
            group.close()
        }
    }
}

@Suite("G7: a loop that gets no processor time", .inTurn, .timeLimit(.minutes(10)))
struct LateLoopTests {
    /// More than the poller tells of at once.
    private static let clients = 300

    /// Bytes that came in time are no time-out, even if the loop comes to them when the time is over.
    @Test(arguments: Kind.allCases)
    func whatCameWhileTheLoopWasLateIsReceived(_ kind: Kind) async throws {
        try await withTime(.milliseconds(500)) { idle in
            try await trial { _ in try await whatCameWhileTheLoopWasLate(kind, idle) }
        }
    }

    private func whatCameWhileTheLoopWasLate(_ kind: Kind, _ idle: Duration) async throws {
        let group = try EventLoopGroup(loops: 1)
        let listener = try Listener(on: kind.endpoint)
        let (arrived, armed, failed) = (Counter(), Counter(), Counter())
        let held = Notes<Int>()
        let release = Notes<Int>()
        @Sendable func hold(_ number: Int) {
            held.add(number)
            while !release.all.contains(number) { usleep(500) }
        }
        let serving = Task {
            try await listener.serve(on: group, onError: { _, _ in failed.add() }) { client in
                arrived.add()
                _ = try await client.receive(exactly: 1)
                client.idleTimeout = idle
                // The last one's waits have begun by now: the loop stands still until they are over.
                if armed.add() == Self.clients { hold(2) }
                while let bytes = try await client.receive(upTo: 9) { try await client.send(bytes) }
            }
        }
        var clients: [Connection] = []
        for _ in 0..<Self.clients { clients.append(try await Connection(to: listener.endpoint)) }
        try await eventually(patience, "everybody's coming") { arrived.value == Self.clients }
        // All first bytes come at once, so that the waits of all begin at nearly the same time.
        _ = group.loops[0].execute { hold(1) }
        try await held.waits("a loop that stands still") { $0 == 1 }
        for client in clients { try client.rawSend([1]) }
        let began = ContinuousClock.now
        release.add(1)
        try await eventually(patience, "the waits of all") { held.all.contains(2) || failed.value > 0 }
        let start = ContinuousClock.now
        for client in clients { _ = try? client.rawSend([2]) }
        // Where their waits took longer to begin than one may last, the first of them has failed rightly.
        let isTooSlow = ContinuousClock.now - began >= idle
        try await eventually { ContinuousClock.now - start > idle + .milliseconds(100) }
        release.add(2)
        if !isTooSlow {
            for client in clients { #expect(try await client.receive(upTo: 9) == [2]) }
            // And who is silent after that is ended all the same.
            for client in clients { #expect(try await client.receive(upTo: 9) == nil) }
            #expect(failed.value == Self.clients)
        }
        for client in clients { client.close() }
        listener.close()
        try await serving.value
        group.close()
        if isTooSlow { throw TooSlow() }
    }
}
