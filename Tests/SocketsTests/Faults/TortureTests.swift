import SocketCore
import Sockets
import Synchronization
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("G3: the n-th system call fails", .inTurn, .timeLimit(.minutes(10)))
struct TortureTests {
    private static let words = pattern(5000)
    private static let errors = [
        Errno.noMemory, .noBufferSpace, .tooManyOpenFiles, .ioError, .connectionReset, .interrupted,
    ]

    /// Listen, connect, accept, exchange and close, once for each system call that this takes, which fails.
    @Test(arguments: [Kind.tcp4, .unix], Face.allCases)
    func eachRunEndsCleanly(_ kind: Kind, _ face: Face) async throws {
        for error in Self.errors {
            var number = 0
            var failures = 0
            var isBeyond = false
            while !isBeyond {
                number += 1
                let torture = Torture(number, error)
                let path = kind == .unix ? temporaryPath("sock") : nil
                do {
                    try await within(patience, "the end of a run") {
                        try await torture.run {
                            if face == .task {
                                try await exchange(on: path ?? kind.endpoint)
                            } else {
                                try await exchangeByThreads(on: path ?? kind.endpoint)
                            }
                        }
                    }
                } catch is SocketError {
                    failures += 1
                } catch {
                    Issue.record("\(error) in a run in which call \(number), \(torture.failed), failed")
                }
                let failed = torture.failed
                if let path, failed != .unlink, failed != .stat {
                    #expect(access(path, F_OK) == -1, "a file is left after call \(number), \(failed), failed")
                }
                if let path { unlink(path) }
                isBeyond = failed == nil
            }
            // The run is long enough to be worth it, and an error is not swallowed.
            #expect(number > 20, "only \(number) calls")
            #expect(error == .interrupted ? failures == 0 : failures > 5, "\(failures) failures by \(error)")
        }
    }

    private func exchange(on place: String) async throws {
        let group = try EventLoopGroup(loops: 1)
        defer { group.close() }
        try await withTaskExecutorPreference(group.loops[0]) {
            let listener = try Listener(on: place)
            defer { listener.close() }
            async let served: Void = {
                do {
                    let peer = try await listener.accept()
                    defer { peer.close() }
                    while let bytes = try await peer.receive(upTo: 1000) { try await peer.send(bytes) }
                    await peer.finishAndClose()
                } catch {
                    // Whoever queues, or is about to, must not wait for what will not come.
                    listener.close()
                    throw error
                }
            }()
            var answer: [UInt8] = []
            do {
                let client = try await Connection(to: listener.endpoint)
                defer { client.close() }
                try await client.send(Self.words)
                try client.finishSending()
                while let bytes = try await client.receive(upTo: 1000) { answer += bytes }
            } catch {
                listener.close()
                _ = try? await served
                throw error
            }
            try await served
            #expect(answer == Self.words)
        }
    }

    private func exchangeByThreads(on place: String) async throws {
        let listener = try Listener(on: place)
        defer { listener.close() }
        async let served: Void = onThread {
            do {
                let peer = try listener.accept()
                defer { peer.close() }
                while let bytes = try peer.receive(upTo: 1000) { try peer.send(bytes) }
                peer.finishAndClose()
            } catch {
                listener.close()
                throw error
            }
        }
        let answer: [UInt8]
        do {
            answer = try await onThread {
                let client = try Connection(to: listener.endpoint)
                defer { client.close() }
                try client.send(Self.words)
                try client.finishSending()
                var answer: [UInt8] = []
                while let bytes = try client.receive(upTo: 1000) { answer += bytes }
                return answer
            }
        } catch {
            listener.close()
            _ = try? await served
            throw error
        }
        try await served
        #expect(answer == Self.words)
    }
}

/// Fails the n-th system call of a run, of whatever kind, and counts descriptors.
private final class Torture: Sendable {
    private let number: Int
    private let error: Errno
    private let state = Lock((calls: 0, open: Set<CInt>(), failed: SystemCall?.none))

    init(_ number: Int, _ error: Errno) {
        self.number = number
        self.error = error
    }

    /// What the n-th call was; nil when there was none.
    var failed: SystemCall? { state.withLock { $0.failed } }

    func run(_ body: () async throws -> Void) async throws {
        let interposer = Interposer(
            decide: { call, _ in self.decide(call) },
            opened: { fd in _ = self.state.withLock { $0.open.insert(fd) } },
            closed: { fd in _ = self.state.withLock { $0.open.remove(fd) } })
        try await interposer.whileInForce {
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            try await eventually(patience, "closing every descriptor") { self.state.withLock { $0.open.isEmpty } }
            try result.get()
        }
    }

    private func decide(_ call: SystemCall) -> Interposer.Verdict {
        switch call {
        // A close cannot be refused; a wait of a loop can only be interrupted; a counter can always be added to.
        case .close, .write, .read: return .pass
        case .epollWait where error != .interrupted: return .pass
        default: break
        }
        return state.withLock { state in
            state.calls += 1
            guard state.calls == number else { return .pass }
            state.failed = call
            return .fail(error)
        }
    }
}
