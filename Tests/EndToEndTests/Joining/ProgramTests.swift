import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `connect` and `listen` with a program at the other end.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ProgramTests {
    static let verbs = ["connect", "listen"]

    @Test(arguments: verbs)
    func itsInputAndOutputAreJoinedToOurs(verb: String) async throws {
        let program = try await pier(verb, "exec:tr a-z A-Z", saying: "hello\n")
        #expect(program.status == 0)
        #expect(program.output == "HELLO\n")
        #expect(program.errors.isEmpty, "\(program.errors)")
    }

    @Test(arguments: verbs)
    func theEndOfInputIsTheEndOfItsInput(verb: String) async throws {
        try await running(verb, "exec:sort") { program in
            program.write("b\nc\n")
            program.write("a\n")
            program.finishInput()
            let status = try await program.end()
            #expect(status == 0)
            #expect(program.output.text == "a\nb\nc\n")
        }
    }

    @Test(arguments: verbs)
    func muchGoesThroughItWhole(verb: String) async throws {
        let sent = randomBytes(3_000_000)
        try await withFile(sent) { file in
            let program = try await pier(verb, "exec:cat", input: .file(file))
            #expect(program.status == 0)
            #expect(program.bytes == sent)
        }
    }

    @Test(
        arguments: [
            ("exec:false", "exec:false: it ended with status 1"), ("exec:sh -c 'exit 77'", "it ended with status 77"),
            ("exec:sh -c 'cat >/dev/null; exit 3'", "it ended with status 3"),
            ("exec:sh -c 'kill -9 $$'", "it ended by signal 9"),
        ], ["full", "send", "receive"])
    func howItEndedIsToldWhereThatWasNotWell(program: (String, String), duplex: String) async throws {
        // What does not read its input would be waited for.
        if duplex == "receive", program.0.contains("cat") { return }
        let command = try await pier("connect", program.0, "--duplex", duplex, saying: "hello\n")
        #expect(command.status == 1)
        expectOneSentence(command, program.1)
    }

    @Test(arguments: verbs)
    func whatItSaidBeforeItFailedIsThere(verb: String) async throws {
        let program = try await pier(verb, "exec:sh -c 'echo last words; exit 5'")
        #expect(program.status == 1)
        #expect(program.output == "last words\n")
        #expect(program.errors.contains("it ended with status 5"), "\(program.errors)")
    }

    @Test(arguments: verbs)
    func oneThatIsNotThereIsAFailure(verb: String) async throws {
        let program = try await pier(verb, "exec:no-such-program at all")
        #expect(program.status == 1)
        expectOneSentence(program, "no program has this name")
        let file = try await pier(verb, "exec:/etc/passwd")
        #expect(file.status == 1)
        expectOneSentence(file, "no program that you may run")
    }

    /// It ended well, and did not want the rest.
    @Test(arguments: ["full", "send", "half"])
    func oneThatDoesNotReadAllOfItsInputIsNoFailure(duplex: String) async throws {
        for _ in 0..<10 {
            let input = duplex == "half" ? "/etc/services" : "/dev/zero"
            let program = try await pier(
                "connect", "exec:sh -c 'head -c 5 >/dev/null; echo enough'", "--duplex", duplex, input: .file(input))
            #expect(program.status == 0, "\(program.errors)")
            if duplex == "full" { #expect(program.output == "enough\n") }
            if duplex == "half" { #expect(program.output.hasPrefix("--->reply-->enough\n")) }
        }
    }

    /// Nobody is there who could still read.
    @Test func itsEndIsNotLingeredFor() async throws {
        try await running("connect", "exec:echo hello", "--linger", "1h") { program in
            let status = try await program.end()
            #expect(status == 0)
            #expect(program.output.text == "hello\n")
        }
    }

    @Test(arguments: verbs)
    func halfDuplexIsADialogueWithIt(verb: String) async throws {
        let dialogue = verb == "connect" ? "--->reply-->hello\n--->" : "received-->who?\n--->received-->hello\n--->"
        let command = verb == "connect" ? "exec:cat" : "exec:sh -c 'printf who?; exec cat'"
        try await running(verb, command, "--duplex", "half") { program in
            program.write("hello\n")
            try await program.output.begins(with: dialogue)
            program.finishInput()
            #expect(try await program.end() == 0, "\(program.errors.text)")
        }
    }

    @Test func theStatusIsKnownThoughTheParentIgnoresItsChildren() async throws {
        let script =
            "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
        let launcher = ["python3", "-c", script]
        #expect(try await pier("connect", "exec:true", launcher: launcher).status == 0)
        expectOneSentence(try await pier("connect", "exec:false", launcher: launcher), "status 1")
    }

    @Test(arguments: verbs)
    func eventsTellOfItAndOfItsEnd(verb: String) async throws {
        for (command, status, ended) in [
            ("exec:cat", 0, "status=0"), ("exec:sh -c 'cat; kill -15 $$'", 1, "signal=15"),
        ] {
            let program = try await pier(verb, command, "--events", "json", saying: "hello\n")
            #expect(program.status == status)
            let told = try await Events.checked(Array(program.errors.utf8))
            let who = "connection=1 peer=\(command)"
            var expected = [
                "connected \(who)", "sent \(who) bytes=6", "finished \(who) by=self", "received \(who) bytes=6",
                "finished \(who) by=peer", "closed \(who) received=6 sent=6 messages=1 \(ended)",
            ]
            if status == 1 { expected.append("error message=\(command): it ended by signal 15 status=1") }
            expected.append("totals clients=1 received=6 sent=6 messages=1 errors=\(status)")
            // The echo may come before the end of input.
            #expect(told.sorted() == expected.sorted())
            #expect(told.suffix(2 + Int(status)) == expected.suffix(2 + Int(status)))
        }
    }

    // MARK: None is left

    /// The number that a program tells on standard error.
    private func number(of program: Program) async throws -> pid_t {
        let line = try await program.errors.line(with: "program ")
        return try #require(line.split(separator: " ").last.flatMap { pid_t($0) })
    }

    private func isGone(_ number: pid_t) -> Bool { kill(number, 0) != 0 && errno == ESRCH }

    @Test func oneThatStaysAfterItsStreamIsEnded() async throws {
        let stubborn = "exec:sh -c 'trap \"\" TERM; echo program $$ >&2; exec <&- >&-; while :; do sleep 1; done'"
        try await running("connect", stubborn, "--grace", "100ms") { program in
            let number = try await number(of: program)
            #expect(try await program.end() == 1)
            #expect(program.errors.text.contains("was ended by signal 9"), "\(program.errors.text)")
            #expect(isGone(number))
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsIt(signal: CInt) async throws {
        for duplex in ["full", "half", "receive"] {
            try await running(
                "connect", "exec:sh -c 'echo program $$ >&2; exec cat'", "--duplex", duplex, "--grace", "1h"
            ) { program in
                let number = try await number(of: program)
                if duplex == "half" { try await program.output.begins(with: "--->") }
                program.send(signal)
                #expect(try await program.end() == -signal, "\(duplex): \(program.errors.text)")
                #expect(isGone(number))
            }
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func noneIsLeftWhenTheGraceRunsOutOrASecondSignalComes(signal: CInt) async throws {
        let stubborn = "exec:sh -c 'trap \"\" TERM; echo program $$ >&2; while :; do sleep 1; done'"
        for (grace, times) in [("100ms", 1), ("1h", 2)] {
            try await running("connect", stubborn, "--grace", grace) { program in
                let number = try await number(of: program)
                program.send(signal)
                if times == 2 {
                    try await eventually { !program.isPending(signal) }
                    program.send(signal)
                }
                #expect(try await program.end() == -signal)
                #expect(isGone(number))
            }
        }
    }

    @Test func noneIsLeftWhenNobodyReadsOurOutput() async throws {
        let script = "\"$0\" connect \"exec:sh -c 'echo program \\$\\$ >&2; exec yes 2>/dev/null'\" | head -c 10"
        try await starting(["sh", "-c", script, Place.pier], input: .file("/dev/null")) { program in
            let number = try await number(of: program)
            #expect(try await program.end() == 0)
            #expect(program.output.text == "y\ny\ny\ny\ny\n")
            try await eventually { isGone(number) }
            #expect(program.errors.lines.count == 1, "\(program.errors.text)")
        }
    }

    /// There is no rest of an input that has nothing.
    @Test func anInputWithoutABeginningHasNoRest() async throws {
        for _ in 0..<20 {
            let connect = try await pier("connect", "exec:true", input: .file("/dev/null"))
            #expect(connect.status == 0 && connect.errors == "", "\(connect.errors)")
        }
    }

    /// It is another's to read when nobody here has.
    @Test func whatIsLeftOfAnInputIsThereForTheNext() async throws {
        for make in ["printf abc |", "exec 3<&0; printf abc > \"$1\"; exec < \"$1\";"] {
            let path = temporaryPath("in")
            defer { unlink(path) }
            let script = make + " { \"$0\" connect 'exec:sleep 0' --duplex receive 2>/dev/null; cat; }"
            let both = try await outcome(of: ["sh", "-c", script, Place.pier, path])
            #expect(both.output == "abc", "\(make)")
        }
        // Where it may be read, all of it is or none.
        for _ in 0..<20 {
            let script = "printf 'abc\\n' | { \"$0\" connect exec:true 2>/dev/null; cat; }"
            let both = try await outcome(of: ["sh", "-c", script, Place.pier])
            #expect(["", "abc\n"].contains(both.output), "\(both.output)")
        }
    }

    @Test(arguments: [["--bytes", "10"], ["--until", "y\\ny"]])
    func whoStopsDoesNotAskHowItEnded(stop: [String]) async throws {
        try await starting(
            [Place.pier, "connect", "exec:sh -c 'echo program $$ >&2; exec yes 2>/dev/null'"] + stop
        ) { program in
            let number = try await number(of: program)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            #expect(program.output.text == (stop[0] == "--bytes" ? "y\ny\ny\ny\ny\n" : "y\ny"))
            #expect(program.errors.lines.count == 1, "\(program.errors.text)")
            #expect(isGone(number))
        }
    }

    @Test func oneThatIgnoresEverythingIsEndedWhenWeStop() async throws {
        let stubborn = "exec:sh -c 'trap \"\" TERM PIPE; echo program $$ >&2; echo hello; while :; do sleep 1; done'"
        try await running("connect", stubborn, "--bytes", "3", "--grace", "100ms") { program in
            let number = try await number(of: program)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            #expect(program.output.text == "hel")
            #expect(isGone(number))
        }
    }
}
