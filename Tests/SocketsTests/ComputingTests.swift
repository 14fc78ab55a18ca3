import Loops
import Sockets
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Which of Swift's ways to run code stay on the loop of a served client, and which leave it.
@Suite(.inTurn) struct ComputingTests {
    /// One of Swift's ways to run code.
    enum Way: String, CaseIterable {
        case noPreference, concurrentFunction, actorMethod, asyncLet, groupChild
        case globalPool, plainCallInGlobalPool, actorInGlobalPool, unstructuredTask, detachedTask, mainActor
    }

    static let staying: Set<Way> = [.noPreference, .concurrentFunction, .actorMethod, .asyncLet, .groupChild]

    @Test(arguments: Way.allCases)
    func whatRunsOnTheLoopOfAServedClient(_ way: Way) async throws {
        let found = try await inServedClient {
            let loop = threadNumber()
            let found = await way.thread()
            return (staysOnLoop: found == loop, comesBack: threadNumber() == loop)
        }
        #expect(found.staysOnLoop == Self.staying.contains(way))
        // Whatever it was, the client's task goes on on its loop.
        #expect(found.comesBack)
    }

    /// What the snippet does: another client of the same loop is served while the first one's work is under way.
    @Test func aClientIsServedWhileAnotherOnesWorkIsOnTheGlobalPool() async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1)
            let listener = try Listener(on: Kind.tcp4.endpoint)
            let mayEnd = Counter()
            let hasBegun = Counter()
            let serving = Task {
                try await listener.serve(on: group) { client in
                    while let message = try await client.receive(upTo: 9) {
                        if message == [1] {
                            await withTaskExecutorPreference(globalConcurrentExecutor) {
                                await spin(hasBegun, until: mayEnd)
                            }
                        }
                        try await client.send(message)
                    }
                }
            }
            let (first, second) = (
                try await Connection(to: listener.endpoint), try await Connection(to: listener.endpoint)
            )
            try await first.send([1])
            try await eventually { hasBegun.value == 1 }
            try await second.send([2])
            #expect(try await second.receive(upTo: 9) == [2])
            mayEnd.add()
            #expect(try await first.receive(upTo: 9) == [1])
            first.close()
            second.close()
            listener.close()
            try await serving.value
            group.close()
        }
    }

    /// Runs `body` in the task of a served client, on a loop of its own.
    private func inServedClient<R: Sendable>(_ body: @escaping @Sendable () async -> R) async throws -> R {
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        let listener = try Listener(on: Kind.tcp4.endpoint)
        let results = Notes<R>()
        let serving = Task { try await listener.serve(on: group) { _ in results.add(await body()) } }
        let client = try await Connection(to: listener.endpoint)
        try await results.waits("the end of the body") { _ in true }
        client.close()
        listener.close()
        try await serving.value
        return try #require(results.all.first)
    }
}

extension ComputingTests.Way {
    /// On which thread this way runs code.
    func thread() async -> UInt {
        switch self {
        case .noPreference: return await withTaskExecutorPreference(nil) { await concurrentThread() }
        case .concurrentFunction: return await concurrentThread()
        case .actorMethod: return await Worker().thread()
        case .asyncLet:
            async let child = concurrentThread()
            return await child
        case .groupChild:
            return await withTaskGroup(of: UInt.self) { group in
                group.addTask { threadNumber() }
                return await group.next() ?? 0
            }
        case .globalPool:
            return await withTaskExecutorPreference(globalConcurrentExecutor) { await concurrentThread() }
        case .plainCallInGlobalPool:
            return await withTaskExecutorPreference(globalConcurrentExecutor) { threadNumber() }
        case .actorInGlobalPool:
            return await withTaskExecutorPreference(globalConcurrentExecutor) { await Worker().thread() }
        case .unstructuredTask: return await Task { threadNumber() }.value
        case .detachedTask: return await Task.detached { threadNumber() }.value
        case .mainActor: return await mainThread()
        }
    }
}

private actor Worker {
    func thread() -> UInt { threadNumber() }
}

@concurrent private func concurrentThread() async -> UInt { threadNumber() }

@MainActor private func mainThread() -> UInt { threadNumber() }

private func threadNumber() -> UInt { UInt(pthread_self()) }

/// Computes until it may end.
@concurrent private func spin(_ hasBegun: Counter, until mayEnd: Counter) async {
    hasBegun.add()
    while mayEnd.value == 0 { sched_yield() }
}
