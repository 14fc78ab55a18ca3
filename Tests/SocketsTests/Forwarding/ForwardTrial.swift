import Loops
import Sockets
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where a forward runs, and so who moves its bytes.
enum Place: String, CaseIterable, Sendable {
    /// In the task that `serve` has made for the source.
    case served
    /// In a child of that task.
    case child
    /// In a task on a loop, of which `serve` knows nothing.
    case loop
    /// In such a task, to a destination of another loop.
    case apart
    /// In a task on no loop.
    case off
    /// In a served task, with a trace.
    case traced
    /// In a served task, where one may speak at a time.
    case half
}

/// How many messages have gone before: few are moved by the verbs, many by the loop.
enum Stage: Int, CaseIterable, Sendable {
    case none = 0
    case few = 2
    case many = 20
}

/// A place, and the kind of the sockets.
struct Setup: Sendable, CustomTestStringConvertible {
    let place: Place
    let kind: Kind

    var testDescription: String { "\(place) \(kind)" }

    static let all = Place.allCases.flatMap { place in [Kind.tcp4, .unix].map { Setup(place: place, kind: $0) } }
    static let tcp = all.filter { $0.kind == .tcp4 }
    /// Those in which what is full stays so: TCP goes on to move some bytes for a while.
    static let unix = all.filter { $0.kind == .unix }
    /// Those in which receiving and sending do not wait for each other.
    static let full = all.filter { $0.place != .half }
    /// Those in which the task can be cancelled without its client's.
    static let plain = all.filter { [.loop, .apart, .off].contains($0.place) }
    /// Those in which the loop moves the bytes, and keeps both turns.
    static let moved = all.filter { [.served, .child, .loop].contains($0.place) }
}

/// How many messages have gone before, and whether the destination is the source itself.
struct Way: Sendable, CustomTestStringConvertible {
    let stage: Stage
    let echo: Bool

    var testDescription: String { "after \(stage.rawValue) messages, \(echo ? "an echo" : "a relay")" }

    static let all = Stage.allCases.flatMap { stage in [true, false].map { Way(stage: stage, echo: $0) } }
    /// Those in which something has gone before.
    static let started = all.filter { $0.stage != .none }
}

/// How a forward ended.
enum End: Equatable {
    case finished(UInt64)
    case failed(SocketError.Operation, SocketError.Cause)
    case odd(String)

    var isResetInSend: Bool { isReset(in: .send) }

    func isReset(in operation: SocketError.Operation) -> Bool {
        self == .failed(operation, .system(.connectionReset)) || self == .failed(operation, .system(.brokenPipe))
    }
}

/// A forward under way.
struct Forwarding: Sendable {
    fileprivate let task: Task<End, Never>
    fileprivate let ended = Notes<End>()
    private let stop: @Sendable () -> Void

    fileprivate init(stop: (@Sendable () -> Void)?, _ run: @escaping @Sendable () async -> End) {
        let ended = ended
        let task = Task {
            let end = await run()
            ended.add(end)
            return end
        }
        self.task = task
        self.stop = stop ?? { task.cancel() }
    }

    var hasEnded: Bool { !ended.all.isEmpty }

    /// Waits for its end.
    func end() async throws -> End { try await within(patience, "the forward's end") { await task.value } }

    /// Cancels its task; in a served one, all that is served.
    func cancel() { stop() }
}

/// A source with its peer, a destination with its peer, and a place in which to forward from the one to the other.
final class ForwardTrial: Sendable {
    let ledger: Ledger
    let group: EventLoopGroup
    let sender: Connection
    let source: Connection
    let destination: Connection
    let reader: Connection
    private let place: Place
    private let listener: Listener
    private let jobs: AsyncStream<@Sendable () async -> Void>.Continuation
    private let serving: Task<Void, any Error>?
    private let others = Notes<Task<Void, any Error>>()

    /// To the source itself where it is an `echo`.
    fileprivate init(_ setup: Setup, echo: Bool, _ ledger: Ledger) async throws {
        self.ledger = ledger
        place = setup.place
        let group = try EventLoopGroup(loops: place == .apart ? 2 : 1)
        self.group = group
        let duplex: Duplex = place == .half ? .half : .full
        let listener = try Listener(
            on: setup.kind.endpoint, duplex: duplex, trace: place == .traced ? Trace { _ in } : nil)
        self.listener = listener
        let (stream, jobs) = AsyncStream.makeStream(of: (@Sendable () async -> Void).self)
        self.jobs = jobs
        let (arrivals, arrived) = AsyncStream.makeStream(of: Connection.self)
        let clients = Counter()
        switch place {
        case .served, .child, .traced, .half:
            serving = Task {
                try await listener.serve(on: group) { client in
                    if clients.add() == 1 {
                        arrived.yield(client)
                        for await job in stream { await job() }
                    } else {
                        try await client.forward(to: client)
                    }
                }
            }
            sender = try await Connection(to: listener.endpoint)
            guard let source = await arrivals.first(where: { _ in true }) else { throw NeverHappened(what: "a client") }
            self.source = source
        case .loop, .apart, .off:
            serving = nil
            sender = try await Connection(to: listener.endpoint)
            source = try await listener.accept()
        }
        if echo {
            (destination, reader) = (source, sender)
        } else {
            let pair = try await connectedPair(setup.kind, duplex: duplex)
            pair.listener.close()
            (destination, reader) = (pair.server, pair.client)
        }
        if place != .off, !echo { try await tieDestination(to: group.loops[place == .apart ? 1 : 0]) }
    }

    /// A socket belongs to the loop on which it waited first.
    private func tieDestination(to loop: EventLoop) async throws {
        let receives = ledger.count(of: .receive)
        let wait = Task(executorPreference: loop) { [destination] in try await destination.receive(upTo: 1) }
        try await ledger.sees(.receive, receives + 1)
        try await reader.send([0])
        _ = try await wait.value
    }

    /// Begins to forward from the source to the destination.
    func forward(upTo size: Int = 65536) -> Forwarding {
        begin { [source, destination] in try await source.forward(to: destination, upTo: size) }
    }

    /// Begins any work in the relay's place.
    func begin(_ work: @escaping @Sendable () async throws -> UInt64) -> Forwarding {
        let run: @Sendable () async -> End = {
            do {
                return .finished(try await work())
            } catch let error as SocketError {
                return .failed(error.operation, error.cause)
            } catch {
                return .odd("\(error)")
            }
        }
        let loop = group.loops[0]
        switch place {
        case .off: return Forwarding(stop: nil, run)
        case .loop, .apart:
            return Forwarding(stop: nil) {
                let task = Task(executorPreference: loop) { await run() }
                return await withTaskCancellationHandler {
                    await task.value
                } onCancel: {
                    task.cancel()
                }
            }
        case .served, .child, .traced, .half:
            let inChild = place == .child
            return Forwarding(stop: { [serving] in serving?.cancel() }) { [jobs] in
                await withCheckedContinuation { continuation in
                    let job: @Sendable () async -> Void = {
                        async let child = inChild ? run() : .odd("not in a child")
                        continuation.resume(returning: inChild ? await child : await run())
                    }
                    if case .terminated = jobs.yield(job) { continuation.resume(returning: .odd("serve has ended")) }
                }
            }
        }
    }

    /// Sends messages, each when the one before has arrived; gives the number of bytes.
    @discardableResult
    func exchange(_ stage: Stage, from start: Int = 0) async throws -> Int {
        try await exchange(stage.rawValue, from: start)
    }

    /// Sends messages, each when the one before has arrived; gives the number of bytes.
    @discardableResult
    func exchange(_ count: Int, from start: Int = 0) async throws -> Int {
        var bytes = 0
        for number in start..<start + count {
            let message = pattern(1 + number * 7, seed: UInt64(number))
            try await sender.send(message)
            #expect(try await reader.receive(exactly: message.count) == message)
            bytes += message.count
        }
        return bytes
    }

    /// Lets each loop, and the tasks on none, have some turns: what they can do without waiting is done then, as a rule. No
    /// test needs it to hold; without it fewer of them would meet a forward that waits.
    func settle() async {
        for _ in 0..<4 {
            for loop in group.loops where place != .off {
                await Task(executorPreference: loop) { await Task.yield() }.value
            }
            await Task { await Task.yield() }.value
        }
    }

    /// Sends with nobody reading until nothing moves any more, so that the forward waits for room; gives what was sent.
    func fill(seed: UInt64 = 77) async throws -> [UInt8] {
        // Not so small that TCP lets the little room there is go by, and tries again after a time.
        try destination.setOption(.sendBuffer, to: 65536)
        try reader.setOption(.receiveBuffer, to: 131_072)
        try sender.setOption(.sendBuffer, to: 131_072)
        try source.setOption(.receiveBuffer, to: 262_144)
        let all = pattern(16 << 20, seed: seed)
        var (sent, failures) = (0, 0)
        let end = ContinuousClock.now + patience
        while failures < 30, sent < all.count {
            guard ContinuousClock.now < end else { throw NeverHappened(what: "a wait for room") }
            let count = try sender.rawSend(Array(all[sent..<min(sent + 50_021, all.count)]))
            if count > 0 {
                (sent, failures) = (sent + count, 0)
            } else {
                // What has come and is not taken tells that the forward does not wait for bytes.
                failures = try hasBytes(source) ? failures + 1 : 0
            }
            await settle()
        }
        #expect(sent < 8 << 20, "a peer is held back while nobody reads what it sends")
        return Array(all.prefix(sent))
    }

    /// Whether something has come that was not received.
    private func hasBytes(_ connection: Connection) throws -> Bool {
        var byte: UInt8 = 0
        return try connection.waitable.use { recv($0, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT)) } == 1
    }

    /// One more client, which is echoed by a forward in the same place and on the same loop.
    func another() async throws -> Connection {
        let client = try await Connection(to: listener.endpoint)
        if serving == nil {
            let server = try await listener.accept()
            others.add(
                Task(executorPreference: place == .off ? nil : group.loops[0]) {
                    defer { server.close() }
                    try await server.forward(to: server)
                })
        }
        return client
    }

    fileprivate func end() async throws {
        for connection in [sender, source, destination, reader] { connection.close() }
        jobs.finish()
        listener.close()
        try? await serving?.value
        for other in others.all { _ = try? await other.value }
        group.close()
    }
}

/// A trial with a relay, which lives until the body has ended.
func tryingForward(
    _ setup: Setup, echo: Bool = false, _ body: @escaping @Sendable (ForwardTrial) async throws -> Void
) async throws {
    try await trial { ledger in
        let relay = try await ForwardTrial(setup, echo: echo, ledger)
        do {
            try await body(relay)
        } catch {
            try await relay.end()
            throw error
        }
        try await relay.end()
    }
}
