import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How programs end, and that nothing is left of them.
@Suite(.inTurn) struct ChildProcessEndingTests {
    private static let soon = Duration.milliseconds(50)

    @Test(arguments: Face.allCases)
    func aProgramThatDoesNotReadIsTerminated(_ face: Face) async throws {
        try await trial { _ in
            let program = try await run("sleep 1000")
            #expect(try await program.terminate(after: Self.soon, by: face) == .signalled(SIGTERM))
            #expect(!exists(program.processID))
            #expect(program.connection.isClosed)
        }
    }

    @Test(arguments: Face.allCases)
    func oneThatWillNotEndIsKilledWithItsChildren(_ face: Face) async throws {
        try await trial { _ in
            let program = try await run("sh -c 'trap \"\" TERM; echo up; while :; do sleep 1000; done'")
            #expect(try await program.connection.receive(upTo: 9) == Array("up\n".utf8))
            #expect(try await program.terminate(after: Self.soon, by: face) == .signalled(SIGKILL))
            try await eventually { !isGroupAlive(program.processID) }
        }
    }

    /// Its child holds the stream's other end, so the stream goes on, and `wait` does not wait for that.
    @Test(arguments: Face.allCases)
    func aProgramThatLeavesAChildBehindHasNotEndedItsStream(_ face: Face) async throws {
        try await trial { _ in
            let program = try await run("sh -c '(trap \"\" TERM; echo child; sleep 1000; echo never) & exit 5'")
            #expect(try await program.wait(by: face) == .exited(5))
            #expect(try await program.connection.receive(upTo: 9, by: face) == Array("child\n".utf8))
            program.connection.receiveDeadline = .now
            #expect(try await cause { try await program.connection.receive(upTo: 9, by: face) } == .timedOut)
            #expect(isGroupAlive(program.processID))
            // It is ended with the program that has left it, though that is long gone.
            #expect(try await program.terminate(after: Self.soon, by: face) == .exited(5))
            try await eventually { !isGroupAlive(program.processID) }
        }
    }

    @Test func aProgramThatNobodyWaitsForIsReaped() async throws {
        try await trial { _ in
            func leave() async throws -> Int32 { try await run("true").processID }
            let process = try await leave()
            try await eventually { !exists(process) }
        }
    }

    @Test func aProgramIsReapedThoughItsLastOwnerIsGone() async throws {
        try await trial { _ in
            func leave() async throws -> (Connection, Int32) {
                let cat = try await run("cat")
                return (cat.connection, cat.processID)
            }
            let (connection, process) = try await leave()
            try await connection.send("still there")
            #expect(try await connection.receive(exactly: 11) == Array("still there".utf8))
            connection.close()
            try await eventually { !exists(process) }
        }
    }

    /// As before Linux 5.3, or in a sandbox.
    @Test(arguments: Face.allCases)
    func withoutAPidfdAThreadWaits(_ face: Face) async throws {
        try await trial { ledger in
            ledger.make(.pidfdOpen, .fail(.noFunction), times: 2)
            let cat = try await run("cat", by: face)
            let sleep = try await run("sleep 1000", by: face)
            cat.connection.close()
            #expect(try await cat.wait(by: face) == .exited(0))
            #expect(try await sleep.terminate(after: Self.soon, by: face) == .signalled(SIGTERM))
            #expect(!exists(cat.processID) && !exists(sleep.processID))
        }
    }

    @Test func anEndThatSomebodyElseTookIsUnknown() async throws {
        try await trial { ledger in
            ledger.make(.waitid, .fail(.noChildProcess))
            let program = try await run("true")
            #expect(try await program.wait() == .unknown)
            // What the test kept from being reaped.
            #expect(waitpid(program.processID, nil, 0) == program.processID)
            await program.terminate()
        }
    }

    @Test func aCancelledTaskStillLeavesNothing() async throws {
        try await trial { _ in
            let program = try await run("sh -c 'trap \"\" TERM; echo up; sleep 1000; sleep 1000'")
            _ = try await program.connection.receive(upTo: 9)
            let task = Task { await program.terminate(after: Self.soon) }
            task.cancel()
            #expect(await task.value == .signalled(SIGKILL))
            #expect(!exists(program.processID))
        }
    }

    @Test func manyRunAtOnce() async throws {
        try await trial { _ in
            try await withThrowingTaskGroup { group in
                for index in 0..<20 {
                    group.addTask {
                        let program = try await run("sh -c 'read line; echo \"$line\"; exit \(index)'")
                        try await program.connection.send("\(index)\n")
                        #expect(try await program.said() == "\(index)\n")
                        #expect(try await program.wait() == .exited(CInt(index)))
                        await program.terminate()
                        #expect(!exists(program.processID))
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
