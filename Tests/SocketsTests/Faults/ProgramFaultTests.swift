import Sockets
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("F11: a program for each client", .inTurn, .timeLimit(.minutes(10)))
struct ProgramFaultTests {
    /// Clients that are served to the end, that are reset, and that go without a word; programs that end by themselves, and
    /// that heed no signal. When all have gone there is no process, no zombie and no descriptor.
    @Test func whateverClientsAndProgramsDoNothingIsLeftOfThem() async throws {
        try await trial { _ in
            let (processes, number) = (Notes<Int32>(), Counter())
            let listener = try Listener(on: "127.0.0.1:0")
            let commands = [
                "cat", "sh -c 'trap \"\" TERM; cat; exec <&- >&-; sleep 1000'", "head -c 3", "sh -c 'exit 3'",
            ]
            let server = Task {
                try await listener.serve { client in
                    let program = try await run(commands[number.add() % commands.count], for: client)
                    processes.add(program.processID)
                    await Relay(client, program.connection).run()
                    await program.terminate(after: .milliseconds(20))
                }
            }
            try await withThrowingTaskGroup { group in
                for number in 0..<60 {
                    group.addTask { try await visit(listener.endpoint, number) }
                }
                try await group.waitForAll()
            }
            listener.close()
            try await server.value
            #expect(processes.all.count == 60)
            for process in processes.all {
                #expect(!exists(process))
                try await eventually { !isGroupAlive(process) }
            }
        }
    }

    /// A client of one of three kinds.
    private func visit(_ endpoint: Endpoint, _ number: Int) async throws {
        let client = try await Connection(to: endpoint)
        // Its program may not read at all, or have ended.
        try? await client.send("hello")
        switch number % 3 {
        case 0:
            try? client.finishSending()
            while let piece = try? await client.receive(upTo: 100), !piece.isEmpty {}
        case 1:
            client.abort()
        default:
            break
        }
        client.close()
    }

    /// What a client chooses is no part of its program's environment, nor of its words.
    @Test func aClientsNameReachesNoProgram() async throws {
        try await trial { _ in
            let (place, name) = (temporaryPath("sock"), temporaryPath("$(touch x);`id`\n"))
            defer { unlink(name) }
            let listener = try Listener(on: "unix:\(place)")
            let client = try boundClient(at: name, to: place)
            defer { close(client) }
            let peer = try await listener.accept()
            #expect("\(peer.remoteAddress)".contains("touch"))
            let program = try await run("env", for: peer)
            let said = try await program.said()
            #expect(said.contains("PIER_LOCAL_ADDRESS=") && !said.contains("touch"), "\(said)")
            await program.terminate()
            peer.close()
            listener.close()
        }
    }

    /// A client that has chosen what it is called, which Pier's own cannot.
    private func boundClient(at name: String, to place: String) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        for (path, call) in [(name, bind), (place, connect)] {
            let address = SocketAddress.unix(try #require(UnixAddress(path: path)))
            let result = address.withSockAddr { call(descriptor, $0, $1) }
            #expect(result == 0)
        }
        return descriptor
    }
}
