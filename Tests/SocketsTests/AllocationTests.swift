import CCounting
import Loops
import Sockets
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What an echo allocates on its loop's thread, where no other test runs. `make micro` counts the same, with more besides, in
/// an optimized build.
@Suite(.inTurn, .enabled(if: counting_is_on(), "a sanitizer has an allocator of its own, which is not counted"))
struct AllocationTests {
    // Over a Unix socket no receive waits here, for the message is there already. Over TCP each does, as a server's do: the
    // read before was short, so the task suspends until the loop tells of the message.
    @Test(arguments: [(Kind.unix, false), (Kind.tcp4, true)])
    func anEchoIntoACallersBufferAllocatesNothing(_ kind: Kind, _ suspends: Bool) async throws {
        try await pair(kind) { client, server in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 8)
            defer { memory.deallocate() }
            let lent = Lent(memory: memory)
            let perEcho = try await allocationsPerEcho(client) {
                var buffer = OutputRawSpan(buffer: lent.memory, initializedCount: 0)
                guard try await server.receive(into: &buffer) == 64 else { throw NeverHappened(what: "a message") }
                try await server.send(buffer.bytes)
            }
            #expect(perEcho <= (suspends ? ofSuspension : 0))
        }
    }

    @Test(arguments: [(Kind.unix, false), (Kind.tcp4, true)])
    func anEchoAllocatesItsMessageAndNothingElse(_ kind: Kind, _ suspends: Bool) async throws {
        try await pair(kind) { client, server in
            let perEcho = try await allocationsPerEcho(client) {
                guard let message = try await server.receive(upTo: 100) else { throw NeverHappened(what: "a message") }
                try await server.send(message)
            }
            #expect(perEcho <= 1 + (suspends ? ofSuspension : 0))
        }
    }

    @Test func anAllocationIsCounted() async throws {
        try await pair(.unix) { client, server in
            let perEcho = try await allocationsPerEcho(client) {
                guard let message = try await server.receive(upTo: 100) else { throw NeverHappened(what: "a message") }
                try await server.send(Array(repeating: 0x2e, count: message.count))
            }
            #expect(perEcho == 2)
        }
    }
}

/// What a suspension itself may allocate. In a debug build that is a checked continuation, the box that stands for it in the
/// socket's word, and four times what the loop's walk over its events takes where generics are not specialized.
#if DEBUG
    private let ofSuspension = 6
#else
    private let ofSuspension = 0
#endif

/// Runs `body` with a connected pair. Without a ledger: what that notes at each system call would be counted too.
private func pair(
    _ kind: Kind, _ body: @escaping @Sendable (_ client: Connection, _ server: Connection) async throws -> Void
) async throws {
    try await within(.seconds(60), "the test's end") {
        let (client, server, listener) = try await connectedPair(kind)
        defer {
            client.close()
            server.close()
            listener.close()
        }
        try await body(client, server)
    }
}

/// The allocations of an echo by the loop's thread, as most of some echoes have them: now and then the runtime itself takes
/// memory, and after each thirty-second verb that did not wait a task yields, which takes some.
private func allocationsPerEcho(
    _ client: Connection, _ echo: @escaping @Sendable () async throws -> Void
) async throws -> Int {
    let message = [UInt8](repeating: 0x2e, count: 64)
    let raw = try client.withDescriptor { $0 }
    return try await EventLoopGroup.run(loops: 1) { group in
        var counts: [Int] = []
        counts.reserveCapacity(25)
        for _ in 0..<25 {
            let before = counting_allocations_of_thread()
            send(raw, message, message.count, 0)
            try await echo()
            counts.append(Int(counting_allocations_of_thread() - before))
        }
        #expect(EventLoop.current === group.loops[0])
        counts.sort()
        return counts[counts.count / 2]
    }
}

/// Safety: only one task uses it.
private struct Lent: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
}
