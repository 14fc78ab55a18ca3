import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A program's standard input and output as a connection.
@Suite(.inTurn) struct ChildProcessTests {
    @Test(arguments: Face.allCases)
    func whatIsSentIsItsInputAndWhatItWritesIsReceived(_ face: Face) async throws {
        try await trial { _ in
            let cat = try await run("cat", by: face)
            let bytes = pattern(300_000)
            async let send: Void = {
                try await cat.connection.send(bytes, by: face)
                try cat.connection.finishSending()
            }()
            #expect(try await cat.connection.receiveAll(by: face) == bytes)
            try await send
            #expect(try await cat.wait(by: face) == .exited(0))
            #expect(try await cat.terminate(by: face) == .exited(0))
        }
    }

    /// Which a loop's thread has of its own.
    @Test func itsSchedulingPolicyIsTheOneOfWhoStartedPier() async throws {
        try await trial { _ in
            let group = try EventLoopGroup(loops: 1, preempts: false)
            defer { group.close() }
            for isOnLoop in [true, false] {
                let starting = { () async throws in try await run("sh -c 'cut -d\" \" -f41 /proc/self/stat'") }
                let program =
                    isOnLoop
                    ? try await withTaskExecutorPreference(group.next()) { try await starting() } : try await starting()
                #expect(try await program.said() == "\(sched_getscheduler(getpid()))\n")
                #expect(try await program.wait() == .exited(0))
            }
        }
    }

    @Test func itMayEndItsOutputAndStillRead() async throws {
        try await trial { _ in
            let path = temporaryPath("txt")
            defer { unlink(path) }
            let program = """
                import socket,sys; s=socket.socket(fileno=1); s.sendall(b"bye"); s.shutdown(socket.SHUT_WR); \
                open("\(path)","wb").write(sys.stdin.buffer.read())
                """
            let python = try await run("python3 -c '\(program)'")
            #expect(try await python.said() == "bye")
            try await python.connection.send("still read")
            try python.connection.finishSending()
            #expect(try await python.wait() == .exited(0))
            let reader = try await run("cat \(path)")
            #expect(try await reader.said() == "still read")
            await reader.terminate()
            await python.terminate()
        }
    }

    @Test(arguments: Face.allCases)
    func itsStatusIsTold(_ face: Face) async throws {
        try await trial { _ in
            for (command, status) in [
                ("true", ChildProcess.ExitStatus.exited(0)), ("sh -c 'exit 3'", .exited(3)),
                ("sh -c 'kill -9 $$'", .signalled(9)),
            ] {
                let program = try await run(command, by: face)
                #expect(try await program.wait(by: face) == status)
                // And to each who asks again.
                #expect(try await program.wait(by: face) == status)
                #expect(program.exitStatus == status)
                program.connection.close()
            }
        }
    }

    @Test func whoeverWaitsIsTold() async throws {
        try await trial { _ in
            let cat = try await run("cat")
            try await withThrowingTaskGroup { group in
                for index in 0..<8 {
                    group.addTask { try await cat.wait(by: index % 2 == 0 ? .task : .thread) }
                }
                cat.connection.close()
                for try await status in group { #expect(status == .exited(0)) }
            }
        }
    }

    @Test func aWaitCanBeCancelled() async throws {
        try await trial { _ in
            let cat = try await run("cat")
            let wait = Task { try await cause { try await cat.wait() } }
            wait.cancel()
            #expect(try await wait.value == .cancelled)
            #expect(cat.exitStatus == nil)
            await cat.terminate()
        }
    }

    @Test func whatCannotRunIsToldByItsName() async throws {
        try await trial { (ledger) async throws in
            for (command, errno) in [
                ("nosuchprogram a", Errno.noSuchFileOrDirectory), ("/nosuch/program", .noSuchFileOrDirectory),
                ("/etc/passwd", .permissionDenied), ("/", .permissionDenied),
            ] {
                let error = await #expect(throws: SocketError.self) { _ = try await run(command) }
                #expect(error?.operation == .run && error?.cause == .system(errno))
                #expect(error?.description.hasPrefix("run exec:\(command): ") == true, "\(error as Any)")
            }
            #expect(ledger.open.isEmpty)
            for call in [SystemCall.socketpair, .fcntl, .spawn] {
                ledger.make(call, .fail(.tooManyOpenFiles))
                #expect(try await cause { try await run("cat") } == .system(.tooManyOpenFiles))
                #expect(ledger.open.isEmpty)
            }
        }
    }

    @Test func noShellTakesPart() async throws {
        try await trial { _ in
            let printf = try await run("printf '%s\\n' $HOME *.swift '|' ; `id`")
            #expect(try await printf.said() == "$HOME\n*.swift\n|\n;\n`id`\n")
            await printf.terminate()
        }
    }

    // MARK: What it has

    @Test(arguments: Kind.allCases)
    func itIsToldTheAddressesOfItsClient(_ kind: Kind) async throws {
        try await trial(over: kind) { ledger, client, server, listener in
            let program = try await run("sh -c 'echo \"$PIER_PEER_ADDRESS $PIER_LOCAL_ADDRESS\"'", for: server)
            // A Unix peer could choose what it is called.
            let peer = kind == .unix ? "" : "\(try Endpoint(server.remoteAddress))"
            #expect(try await program.said() == "\(peer) \(listener.endpoint)\n")
            await program.terminate()
            let other = try await run(
                "sh -c 'echo \"${PIER_PEER_ADDRESS-none} ${PIER_LOCAL_ADDRESS-none} ${PATH:+path}\"'")
            #expect(try await other.said() == "none none path\n")
            await other.terminate()
        }
    }

    @Test func itHasNoOtherDescriptor() async throws {
        try await trial { _ in
            // As other parts of a program make them.
            let leaked = dup(2)
            defer { close(leaked) }
            #expect(fcntl(leaked, F_GETFD) & FD_CLOEXEC == 0)
            let python = try await run("python3 -c 'import os; print(sorted(map(int, os.listdir(\"/proc/self/fd\"))))'")
            // The fourth is the folder that is listed.
            #expect(try await python.said() == "[0, 1, 2, 3]\n")
            await python.terminate()
        }
    }

    @Test func itsSignalsAreAsAtALogin() async throws {
        try await trial { _ in
            // Ignored by default, so this changes nothing but what a child would inherit.
            signal(SIGWINCH, SIG_IGN)
            let program = try await onThread {
                var blocked = sigset_t()
                sigemptyset(&blocked)
                sigaddset(&blocked, SIGUSR2)
                var before = sigset_t()
                pthread_sigmask(SIG_BLOCK, &blocked, &before)
                defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
                guard let command = Endpoint.Command(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]) else {
                    throw NeverHappened(what: "a command")
                }
                return try ChildProcess(running: command)
            }
            // Of the ordinary ones: the C library leaves two ignored that are its own (32 and 33).
            let masks = try await program.said().split(separator: "\n").compactMap { line in
                UInt64(line.split(separator: "\t").last ?? "", radix: 16).map { $0 & 0x7fff_ffff }
            }
            #expect(masks == [0, 0])
            await program.terminate()
        }
    }

    @Test func itsInputAndOutputBlock() async throws {
        try await trial { _ in
            let python = try await run("python3 -c 'import os; print(os.get_blocking(0), os.get_blocking(1))'")
            #expect(try await python.said() == "True True\n")
            await python.terminate()
        }
    }
}
