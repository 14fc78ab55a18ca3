import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What `connect` and `listen` cut short never looks like a clean end to the peer.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct CutOffTests {
    /// A Unix socket has no reset; there the status and the sentence tell.
    private func expectCut(_ peer: Peer, _ wire: Wire) {
        if wire == .tcp {
            #expect(throws: Errno.connectionReset) { try peer.receive(.max) }
        } else {
            #expect((try? peer.receive(.max)) != nil)
        }
    }

    @Test(arguments: Wire.allCases)
    func aTimeOutIsAReset(wire: Wire) async throws {
        try await listening(wire, ["--idle-timeout", "50ms"]) { host in
            let client = try host.client()
            expectCut(client, wire)
            #expect(try await host.program.end() == 3)
        }
    }

    @Test(arguments: Wire.allCases)
    func aTimeOutOfOneClientIsAResetAndTheNextIsJoined(wire: Wire) async throws {
        try await listening(wire, ["--keep", "--idle-timeout", "50ms"]) { host in
            for _ in 0..<2 { expectCut(try host.client(), wire) }
            #expect(host.program.ending == nil)
        }
    }

    @Test(arguments: Wire.allCases)
    func anInputThatCannotBeReadIsAReset(wire: Wire) async throws {
        try await listening(wire, input: .file("/tmp")) { host in
            expectCut(try host.client(), wire)
            #expect(try await host.program.end() == 1)
            #expect(host.program.errors.text.contains("standard input"), "\(host.program.errors.text)")
        }
    }

    @Test func connectResetsWhenItsInputCannotBeRead() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", input: .file("/tmp")) { program in
            expectCut(try await host.accept(), .tcp)
            #expect(try await program.end() == 1)
        }
    }

    @Test(arguments: Wire.allCases, ["full", "half", "receive"])
    func anOutputThatIsFullIsAReset(wire: Wire, duplex: String) async throws {
        try await listening(wire, ["--duplex", duplex], output: .file("/dev/full")) { host in
            let client = try host.client()
            try client.send("hello")
            expectCut(client, wire)
            #expect(try await host.program.end() == 1)
            #expect(host.program.errors.text.contains("no space left"), "\(host.program.errors.text)")
        }
    }

    @Test func aProgramIsKilledWhenItsInputCannotBeRead() async throws {
        let path = temporaryPath("whole")
        defer { unlink(path) }
        let program = try await pier("connect", "exec:sh -c 'cat; echo whole >\(path)'", input: .file("/tmp"))
        #expect(program.status == 1)
        expectOneSentence(program, "standard input")
        #expect(access(path, F_OK) != 0)
    }

    /// A part of the lines is not all of them.
    @Test func aDialogueThatEndsBeforeItsInputCountsWhatIsLeft() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("one\ntwo\n")
            let peer = try await host.accept()
            #expect(try peer.receive(3) == Array("one".utf8))
            peer.finish()
            #expect(try await client.end() == 1)
            #expect(client.errors.text.contains("at least 4 were not"), "\(client.errors.text)")
            expectCut(peer, .tcp)
        }
    }
}
