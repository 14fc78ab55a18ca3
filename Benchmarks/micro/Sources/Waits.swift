import Glibc
import Loops
import SocketCore
import Sockets

// A wait is what all else is made of: the task suspends, the loop looks at its sockets, and an event resumes the task.

extension Scenario {
    static var waits: [Scenario] {
        [
            // As a task waits that `serve` runs: it wakes them itself when it cancels them.
            wait("wait") { await $0.suspend(.receive) },
            wait("wait, cancellable") { await $0.wait(for: .receive) },
            wait("wait, idle timeout", prepare: { $0.idleTimeout = .seconds(3600) }) { await $0.suspend(.receive) },
            wait("wait, new deadline") {
                $0.setDeadline(.after(.seconds(3600)), .receive)
                return await $0.suspend(.receive)
            },
            Scenario(name: "idle timeout that fires", few: 10, many: 110) { group in
                let (ours, theirs) = try rawPair(SOCK_STREAM)
                let connection = try Connection(adopting: ours)
                connection.idleTimeout = .milliseconds(2)
                return Running { times in
                    try onLoop(group.loops[0]) {
                        for _ in 0..<times {
                            do {
                                _ = try await connection.receive(upTo: 64)
                                throw Failed(what: "a timeout")
                            } catch let error as SocketError where error.cause == .timedOut {}
                        }
                    }
                } end: {
                    connection.close()
                    close(theirs)
                }
            },
        ]
    }

    /// The byte that ends the wait is there before the wait begins, but the loop does not know it yet: so one task and one
    /// thread do everything, and each wait suspends.
    private static func wait(
        _ name: String, prepare: @escaping (Waitable) -> Void = { _ in },
        _ suspend: @escaping @Sendable (Waitable) async -> Wake
    ) -> Scenario {
        Scenario(name: name) { group in
            let (ours, theirs) = try rawPair(SOCK_STREAM)
            let waitable = Waitable(Descriptor(owning: ours), shortReadsDrain: true)
            prepare(waitable)
            return Running { times in
                try onLoop(group.loops[0]) {
                    try waitable.register()
                    for _ in 0..<times {
                        var byte: UInt8 = 0
                        guard write(theirs, &byte, 1) == 1, await suspend(waitable) == .ready,
                            read(ours, &byte, 1) == 1
                        else { throw Failed(what: "a wait") }
                    }
                }
            } end: {
                waitable.close()
                close(theirs)
            }
        }
    }
}

extension Waitable {
    /// As a verb waits in a task whose cancellation is watched for already.
    func suspend(_ direction: Direction) async -> Wake {
        await Waiter.suspend { park($0, direction) }
    }
}
