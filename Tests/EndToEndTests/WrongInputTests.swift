import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A failure is told in one line on standard error, which begins with the command's name and says what it is about.
func expectOneSentence(_ outcome: Outcome, _ part: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let lines = outcome.errors.split(separator: "\n").filter { !$0.hasPrefix("listening ") }
    #expect(lines.count == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
    #expect(lines.first?.hasPrefix("pier: ") == true, "\(outcome.errors)", sourceLocation: sourceLocation)
    #expect(outcome.errors.contains(part), "\(outcome.errors)", sourceLocation: sourceLocation)
    #expect(outcome.bytes.isEmpty, sourceLocation: sourceLocation)
}

/// Wrong input, seen as a user: one sentence that says what to do, and the contract's exit code.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct WrongInputTests {
    @Test(arguments: [
        ("", "empty"), ("foo://127.0.0.1:80", "foo"), ("tpc://127.0.0.1:80", "tcp"), ("127.0.0.1:65536", "65535"),
        ("127.0.0.1:080", "080"), ("127.0.0.1:+80", "+80"), ("127.0.0.1:", "port"), ("127.1:80", "127.1"),
        ("[::1:80", "["), ("127.0.0.1:80?tiemout=1s", "timeout"), ("127.0.0.1:80?timeout=5d", "1m30s"),
        ("127.0.0.1:80?duplex=both", "half"), ("hello", "hello"), ("127.0.0.1:80\u{1b}[2J", "\\x1b"),
    ])
    func aBadEndpointIsUsage(endpoint: String, part: String) async throws {
        let client = try await pier("connect", endpoint)
        #expect(client.status == 2)
        expectOneSentence(client, part)
        #expect(!client.errors.contains("\u{1b}"))
    }

    @Test(arguments: [
        ("127.0.0.1:0?backlog=0", "backlog"), ("127.0.0.1:0?bcklog=5", "backlog"),
        ("127.0.0.1:0?idle-timeout=5d", "1m30s"),
        ("127.0.0.1:0?show=all", "hex"), ("nosuch.invalid:0", "nosuch.invalid"),
        ("udp://nosuch.invalid:0", "nosuch.invalid"), ("file:x?mode=read", "exec:cat"),
    ])
    func aBadEndpointToServeIsUsage(endpoint: String, part: String) async throws {
        let server = try await pier("serve", "echo", "127.0.0.1:0", endpoint)
        #expect(server.status == 2)
        expectOneSentence(server, part)
    }

    @Test(arguments: [
        (["srve", "echo", ":0"], "serve"), (["conect", "127.0.0.1:1"], "connect"),
        (["serve", "eco", "127.0.0.1:0"], "echo"), (["connect"], "endpoint"), (["serve", "echo"], "endpoint"),
        (["connect", "127.0.0.1:1", "2"], "leave 2 out"), (["connect", "/tmp/a.sock", "2"], "leave 2 out"),
        (["connect", "localhost", "http"], "\"http\" is no port"), (["connect", "a", "1", "extra"], "extra"),
        (["listen", "localhost", "80"], "HOST:PORT"), (["connect", "a:1", "--time", "5s"], "'--timeout'"),
        (["connect", "a:1", "--idle", "5s"], "--help"), (["listen", "a:1", "--idle=5s"], "'--idle-timeout'"),
        (["connect", "udp:127.0.0.1:5"], "write udp://127.0.0.1:5"),
        (["connect", "127.0.0.1:1", "--dplex", "half"], "--duplex"),
        (["connect", "127.0.0.1:1", "--duplex", "both"], "half"),
        (["connect", "127.0.0.1:1", "--timeout", "5d"], "1m30s"),
        (["connect", "127.0.0.1:1", "--timeout", "0"], "a time above 0"),
        (["connect", "127.0.0.1:1", "-4", "-6"], "exclude each other"),
        (["connect", "127.0.0.1:1?ipv6=true", "--ipv4"], "exclude each other"),
        (["connect", "127.0.0.1:1", "-6"], "write an IPv6 address"),
        (["connect", "[::1]:1", "-4"], "only IPv4 is asked for"),
        (["connect", "/tmp/a.sock", "-4"], "leave the family out"),
        (["connect", "127.0.0.1:1", "--source", "::1"], "of one family"),
        (["connect", "127.0.0.1:1", "--source", "/tmp/a.sock"], "such as 127.0.0.9"),
        (["connect", "127.0.0.1:1", "--source", "[::1]"], "of one family"),
        (["connect", "localhost:1", "--source", "127.0.0.9", "-6"], "leave one of them out"),
        (["connect", "127.0.0.1:1?source=localhost"], "such as 127.0.0.9"),
        (["connect", "127.0.0.1:1?ipv4=yes"], "true or false"),
        (["connect", "127.0.0.1:1", "--bytes", "0"], "above 0"),
        (["listen", "127.0.0.1:0", "--bytes", "-1"], "above 0"),
        (["connect", "127.0.0.1:1", "--bytes", "1e3"], "above 0"), (["connect", "127.0.0.1:1?bytes=1k"], "above 0"),
        (["connect", "127.0.0.1:1", "--until", ""], "at least one byte"),
        (["connect", "127.0.0.1:1", "--until", #"a\q"#], #"\xHH"#),
        (["listen", "127.0.0.1:0", "--until", #"\x4"#], #"\xHH"#),
        (["listen", "127.0.0.1:0?until=%5C"], "at least one byte"),
        (["connect", "127.0.0.1:1", "--bytes", "1", "--until", "a"], "exclude each other"),
        (["connect", "127.0.0.1:1", "--bytes", "1", "--duplex", "send"], "leave one of them out"),
        (["connect", "127.0.0.1:1", "--crlf", "--duplex", "receive"], "leave it out"),
        (["connect", "udp://127.0.0.1:1", "--until", "a"], "datagrams have borders of their own"),
        (["listen", "udp://127.0.0.1:0", "--bytes", "1"], "datagrams have borders of their own"),
        (["connect", "unix-dgram:///tmp/a.sock?crlf=true"], "datagrams have borders of their own"),
        (["connect", "127.0.0.1:1?crlf=yes"], "true or false"),
        (["connect", "127.0.0.1:1", "--retry", "-1"], "forever"),
        (["connect", "127.0.0.1:1", "--backoff", "5"], "100ms..10s"),
        (["serve", "echo", "127.0.0.1:0", "--max-clients", "0"], "above 0"),
        (["serve", "echo", "udp://127.0.0.1:0", "--max-sessions", "0"], "above 0"),
        (["serve", "echo", "127.0.0.1:0", "--backlog", "+5"], "above 0"),
        (["serve", "echo", "127.0.0.1:0", "--idle-timeout", "1m30"], "1m30s"),
        (["serve", "echo", "127.0.0.1:0", "--grace", "soon"], "1m30s"),
        (["serve", "echo", "127.0.0.1:0", "--model", "fibers"], "threads"),
        (["serve", "echo", "127.0.0.1:0", "--idle-timeout"], "--idle-timeout"),
    ])
    func wrongWordsAreUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    @Test(arguments: [
        ["--help"], ["help", "connect"], ["serve", "--help"], ["--version"], ["manual"], ["manual", "relay"],
        ["--generate-completion-script", "bash"], ["--generate-completion-script", "fish"],
    ])
    func anAnswerThatCannotBeWrittenIsAFailure(words: [String]) async throws {
        let full = try await starting([Place.pier] + words, output: .file("/dev/full")) { program in
            (try await program.end(), program.errors.text)
        }
        #expect(full.0 == 1)
        #expect(full.1.hasPrefix("pier: standard output: no space left on device"), "\(full.1)")
        let written = try await outcome(of: [Place.pier] + words)
        #expect(written.status == 0 && !written.bytes.isEmpty && written.errors.isEmpty)
    }

    @Test func refusedIsAFailure() async throws {
        let client = try await pier("connect", "127.0.0.1:\(try freePort())")
        #expect(client.status == 1)
        expectOneSentence(client, "refused")
    }

    @Test func aPathThatIsNoSocketAndALinkWithoutItsInterfaceAreSaidToBe() async throws {
        for (words, part) in [
            (["connect", "/dev/null"], "is no socket"), (["serve", "echo", "/dev/null"], "is no socket"),
            (["connect", "[fe80::1]:9"], "[fe80::1%eth0]"), (["serve", "echo", "[fe80::1]:9"], "[fe80::1%eth0]"),
        ] {
            let command = try await outcome(of: [Place.pier] + words)
            #expect(command.status == 1)
            expectOneSentence(command, part)
        }
        let help = try await pier("help", "foo")
        #expect(help.status == 2)
        expectOneSentence(help, "unknown verb \"foo\"")
    }

    @Test func aNameThatDoesNotResolveIsAFailure() async throws {
        let client = try await pier("connect", "nosuch.invalid:80")
        #expect(client.status == 1)
        expectOneSentence(client, "nosuch.invalid")
    }

    @Test func aPortInUseIsAFailure() async throws {
        try await serving { server in
            let second = try await pier("serve", "echo", "127.0.0.1:\(server.port)")
            #expect(second.status == 1)
            expectOneSentence(second, "choose another port")
            #expect(try server.client().echo("hello") == "hello")
        }
    }

    @Test func aPortIsFreeAgainAtOnceWhenItsServerIsKilled() async throws {
        let port = try freePort()
        for _ in 0..<3 {
            try await running("serve", "echo", "127.0.0.1:\(port)") { server in
                try await server.errors.line(with: "listening")
                let client = try Peer(port: port)
                #expect(try client.echo("hello") == "hello")
                server.send(SIGKILL)
                #expect(try await server.end() == -9)
            }
        }
    }

    @Test func anAddressOfAnotherMachineIsAFailure() async throws {
        let server = try await pier("serve", "echo", "192.0.2.1:0")
        #expect(server.status == 1)
        expectOneSentence(server, "192.0.2.1")
    }

    private static let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

    @Test(
        .enabled("the command cannot be run as another user here") {
            guard geteuid() == 0 else { return true }
            return try await outcome(of: Self.nobody + [Place.pier, "--version"]).status == 0
        },
        .enabled(
            if: contents(of: "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "1024\n", "low ports are free here"))
    func aLowPortIsForRoot() async throws {
        let server = try await pier("serve", "echo", "127.0.0.1:1001", launcher: geteuid() == 0 ? Self.nobody : [])
        #expect(server.status == 1)
        expectOneSentence(server, "1024")
    }

    @Test func aBadEndpointAmongGoodOnesIsFoundBeforeAnythingListens() async throws {
        let path = temporaryPath("sock")
        let server = try await pier("serve", "echo", path, "nonsense")
        #expect(server.status == 2)
        #expect(access(path, F_OK) != 0)
    }

    @Test(arguments: [
        ["--help"], ["serve", "--help"], ["connect", "--help"], ["listen", "--help"], ["help", "serve"], ["--version"],
    ])
    func helpAndTheVersionAreAnswers(words: [String]) async throws {
        let command = try await outcome(of: [Place.pier] + words)
        #expect(command.status == 0)
        #expect(command.errors.isEmpty)
        if words != ["--version"] { #expect(command.output.contains("EXAMPLES:\n  pier ")) }
    }

    @Test func theHelpOfEveryVerbEndsWithTwoExamples() async throws {
        for verb in ["serve", "connect", "listen"] {
            let lines = try await pier(verb, "--help").output.split(separator: "\n")
            #expect(lines.suffix(2).allSatisfy { $0.hasPrefix("  pier \(verb) ") })
            #expect(lines.dropLast(2).last == "EXAMPLES:")
        }
    }

    @Test func theHelpNamesTheLimits() async throws {
        let page = try await pier("serve", "--help").output
        let help = page.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for part in [
            "--max-clients", "limit on open files", "with threads", "--idle-timeout", "5m", "--grace", "5s", "65536",
        ] {
            #expect(help.contains(part))
        }
    }
}
