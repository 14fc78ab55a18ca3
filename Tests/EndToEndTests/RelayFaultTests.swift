import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Runs `pier relay 127.0.0.1:0` to a port of this machine while `body` runs.
private func relaying<R>(
    to port: UInt16, _ arguments: String..., launcher: [String] = [], _ body: (Program, UInt16) async throws -> R
) async throws -> R {
    try await starting(
        launcher + [Place.pier, "relay", "127.0.0.1:0", "127.0.0.1:\(port)"] + arguments, input: .file("/dev/null")
    ) { program in try await body(program, try await listeningPort(of: program)) }
}

/// What goes wrong around `pier relay`, and what it costs the others.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayFaultTests {
    private func limited(_ count: Int) -> [String] { ["sh", "-c", "ulimit -n \(count); exec \"$@\"", "sh"] }

    @Test func withoutDescriptorsForAllTheOthersWaitAndNothingSpins() async throws {
        try await serving("--show", "none") { server in
            try await relaying(to: server.port, launcher: limited(60)) { relay, port in
                let clients = try (0..<100).map { _ in try Peer(port: port) }
                for client in clients { try client.send("x") }
                try await relay.errors.line(with: "which is the limit")
                try await eventually { clients.count { $0.hasNews } > 5 }
                let served = clients.filter { $0.hasNews(within: 5) }
                #expect(served.count < 40, "\(served.count)")
                for client in served { #expect(try client.receive(1) == [0x78]) }

                // Only time can show that nothing turns in place of time.
                let (before, start) = (processorTime(of: relay.pid), ContinuousClock.now)
                while ContinuousClock.now - start < .seconds(1) {
                    #expect(try served[0].echo("served") == "served")
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(processorTime(of: relay.pid) - before < .milliseconds(150))

                for client in served {
                    client.finish()
                    #expect(try client.receiveText() == "")
                }
                for client in clients where !served.contains(where: { $0 === client }) {
                    #expect(try client.receive(1) == [0x78])
                    client.finish()
                    #expect(try client.receiveText() == "")
                }
                #expect(relay.errors.lines.count == 2, "\(relay.errors.text)")
            }
        }
    }

    /// The pipes by which it goes take descriptors too, and nobody is reset for want of them.
    @Test func clientsThatSendInBulkGetByWithFewDescriptors() async throws {
        try await running("serve", "discard", "127.0.0.1:0", "--show", "none") { server in
            let behind = try await listeningPort(of: server)
            try await relaying(to: behind, launcher: limited(60)) { relay, port in
                try await withThrowingTaskGroup { group in
                    for _ in 0..<40 {
                        group.addTask {
                            try await onThread {
                                let piece = [UInt8](repeating: 7, count: 1 << 18)
                                for _ in 0..<4 {
                                    let client = try Peer(port: port)
                                    for _ in 0..<16 { try client.send(piece) }
                                    client.finish()
                                    #expect(try client.receive(1) == [])
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(!relay.errors.text.contains("too many open files"), "\(relay.errors.text)")
            }
        }
    }

    /// A killed process's system resets what it has not read.
    @Test func aTargetThatIsKilledInMidTransferIsAResetAndCounted() async throws {
        let target = """
            import socket, sys
            s = socket.create_server(('127.0.0.1', 0))
            print('tcp://127.0.0.1:%d' % s.getsockname()[1], file=sys.stderr)
            c, _ = s.accept()
            c.recv(1)
            c.sendall(bytes(300000))
            c.recv(1, socket.MSG_PEEK)
            print('ready', file=sys.stderr)
            sys.stdin.read()
            """
        try await starting(["python3", "-c", target]) { target in
            let behind = try await listeningPort(of: target)
            try await relaying(to: behind, "-v") { relay, port in
                let client = try Peer(port: port)
                try client.send("a")
                #expect(try client.receive(300_000).count == 300_000)
                try client.send("never read")
                try await target.errors.line(with: "ready")
                target.send(SIGKILL)
                #expect(throws: Errno.connectionReset) { _ = try client.receive(1) }
                try await relay.errors.line(with: "127.0.0.1:\(behind) closed")
                let told = try await relay.errors.line(with: "127.0.0.1:\(behind) closed")
                #expect(told.contains("300000 bytes received") && told.contains("11 sent"), "\(told)")
                #expect(relay.errors.text.contains("reset"), "\(relay.errors.text)")
                #expect(relay.ending == nil)
            }
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalInMidTransferLosesNothing(signal: CInt) async throws {
        let (forth, back) = (randomBytes(6_000_000), randomBytes(5_000_000))
        let host = try Host()
        try await relaying(to: host.port, "--grace", "1h") { relay, port in
            let client = try Peer(port: port)
            let target = try await host.accept()
            try await withThrowingTaskGroup { group in
                for (end, bytes) in [(client, forth), (target, back)] {
                    group.addTask {
                        try await onThread {
                            try end.send(bytes)
                            end.finish()
                        }
                    }
                }
                // Under way, and by far not over: nobody takes more than this.
                #expect(try client.receive(1000) == Array(back[..<1000]))
                #expect(try target.receive(1000) == Array(forth[..<1000]))
                relay.send(signal)
                try await eventually(patience, "refusing") {
                    guard let late = try? Peer(port: port) else { return true }
                    late.resetAtClose()
                    return false
                }
                for (end, bytes) in [(client, back), (target, forth)] {
                    group.addTask {
                        let rest = try await onThread { try end.receive(.max) }
                        #expect(rest == Array(bytes[1000...]))
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await relay.end() == 0)
        }
    }

    /// So many of each direction are held for a client, and 10 KB.
    @Test(.disabled(if: isSanitized, "the sanitizer's own memory is several times as much"))
    func clientsThatNeverReadHoldWhatIsStatedAndDelayNobody() async throws {
        let (count, size, overhead) = (400, 16384, 12288)
        let host = try Host(backlog: 128)
        try await relaying(to: host.port, "--receive-size", "\(size)", "--loops", "1") { relay, port in
            func join() async throws -> (Peer, Peer) {
                let client = try Peer(port: port, receiveBuffer: 4096)
                let target = try await host.accept()
                var few: CInt = 4096
                setsockopt(target.descriptor, SOL_SOCKET, SO_RCVBUF, &few, socklen_t(MemoryLayout<CInt>.size))
                return (client, target)
            }
            let (asking, answering) = try await join()
            func ask() throws {
                try asking.send("question")
                #expect(try answering.receive(8) == Array("question".utf8))
                try answering.send("answer")
                #expect(try asking.receive(6) == Array("answer".utf8))
            }
            try ask()
            let pid = relay.pid
            let before = residentMemory(of: pid)
            var ends: [Peer] = []
            for _ in 0..<count {
                let (client, target) = try await join()
                ends += [client, target]
            }
            let piece = [UInt8](repeating: 7, count: 1 << 16)
            // Until nothing more is taken from anybody.
            var quiet = ContinuousClock.now
            let start = quiet
            while ContinuousClock.now - quiet < .milliseconds(300)
                || residentMemory(of: pid) - before < count * size && ContinuousClock.now - start < patience
            {
                for end in ends {
                    if Glibc.send(end.descriptor, piece, piece.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL)) > 0 {
                        quiet = .now
                    }
                }
                try ask()
            }
            let growth = residentMemory(of: pid) - before
            #expect(growth < count * (2 * size + overhead), "\(growth / count) bytes a client")
            // They are what this is about: each does hold something.
            #expect(growth > count * size, "\(growth / count) bytes a client")
            try ask()
        }
    }
}
