internal import Loops
internal import SocketCore
internal import Sockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The programs that run for this command: none outlives it.
final class Programs: Sendable {
    private struct State {
        var running: [ObjectIdentifier: ChildProcess] = [:]
        var isOver = false
    }
    private let state = Lock(State())

    /// How long they have from SIGTERM to SIGKILL.
    private static let patience = Duration.milliseconds(500)

    /// Knows of a stream's program from now on, if there is one.
    func add(_ stream: OpenedStream) {
        guard let program = stream.program else { return }
        let isLate = state.withLock { state in
            state.running[ObjectIdentifier(program)] = program
            return state.isOver
        }
        if isLate { program.signal(SIGKILL) }
    }

    /// It has ended, with its group.
    func remove(_ stream: OpenedStream) {
        guard let program = stream.program else { return }
        state.withLock { _ = $0.running.removeValue(forKey: ObjectIdentifier(program)) }
    }

    /// Ends those that still run, with their groups. Blocks the thread for half a second at the most.
    func endAll() {
        var left = state.withLock { state in
            state.isOver = true
            return Array(state.running.values)
        }
        let deadline = Deadline.after(Self.patience)
        left.removeAll { !$0.signal(SIGTERM) }
        while !left.isEmpty, !deadline.isPast {
            Bell.pauseThread(for: .milliseconds(5))
            left.removeAll { !$0.signal(0) }
        }
        for program in left { program.signal(SIGKILL) }
    }
}
