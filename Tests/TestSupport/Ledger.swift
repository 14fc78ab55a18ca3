package import SocketCore
import SystemPackage

/// Counts the descriptors that a test's own code opens and closes, and can make its system calls fail.
///
/// It works through the seam's task-local interposer: it sees the calls made in the test's task, in its children and in
/// loops made under it, and never those of a test that runs at the same time.
package final class Ledger: Sendable {
    private struct State {
        var open: Set<CInt> = []
        var calls: [SystemCall: Int] = [:]
        var rules: [Rule] = []
    }

    private struct Rule {
        let call: SystemCall
        var skip: Int
        var times: Int
        let verdict: Interposer.Verdict
    }

    private let state = Lock(State())

    package init() {}

    /// From now on the next `times` calls of a kind, after `skip` others, are failed or shortened.
    package func make(_ call: SystemCall, _ verdict: Interposer.Verdict, times: Int = 1, after skip: Int = 0) {
        state.withLock { $0.rules.append(Rule(call: call, skip: skip, times: times, verdict: verdict)) }
    }

    /// From now on all calls pass.
    package func letAllPass() { state.withLock { $0.rules = [] } }

    /// How many calls of a kind were made.
    package func count(of call: SystemCall) -> Int { state.withLock { $0.calls[call] ?? 0 } }

    /// The descriptors that are open now.
    package var open: Set<CInt> { state.withLock { $0.open } }

    /// Waits until so many calls of a kind were made: the way to know that a verb has begun.
    package func sees(_ call: SystemCall, _ times: Int = 1) async throws {
        try await eventually(patience, "\(call) number \(times)") { self.count(of: call) >= times }
    }

    /// Runs `body` with this ledger in force, and throws if a descriptor is still open some time after it has ended.
    package func audit<R>(_ body: () async throws -> R) async throws -> R {
        let interposer = Interposer(
            decide: { call, _ in self.decide(call) },
            opened: { fd in _ = self.state.withLock { $0.open.insert(fd) } },
            closed: { fd in _ = self.state.withLock { $0.open.remove(fd) } })
        return try await interposer.whileInForce {
            let result = try await body()
            // A loop may still be closing what the body let go.
            try await eventually(patience, "closing every descriptor") { self.open.isEmpty }
            return result
        }
    }

    private func decide(_ call: SystemCall) -> Interposer.Verdict {
        state.withLock { state in
            state.calls[call, default: 0] += 1
            for index in state.rules.indices where state.rules[index].call == call && state.rules[index].times > 0 {
                if state.rules[index].skip > 0 {
                    state.rules[index].skip -= 1
                    return .pass
                }
                state.rules[index].times -= 1
                return state.rules[index].verdict
            }
            return .pass
        }
    }
}

/// Runs a test with a ledger of its own, and fails it if a descriptor is left open.
package func audited<R>(_ body: (Ledger) async throws -> R) async throws -> R {
    let ledger = Ledger()
    return try await ledger.audit { try await body(ledger) }
}
