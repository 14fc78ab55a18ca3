import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `connect` and `listen` with a file at the other end.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct FileTests {
    @Test func whatIsSentIsAppended() async throws {
        try await withFile(Array("one\n".utf8)) { file in
            for words in [["connect", "file://\(file)"], ["listen", "file://\(file)", "--duplex", "send"]] {
                let command = try await outcome(of: [Place.pier] + words, saying: "two\n")
                #expect(command.status == 0 && command.errors.isEmpty, "\(command.errors)")
                #expect(command.bytes.isEmpty)
            }
            #expect(contents(of: file) == "one\ntwo\ntwo\n")
            #expect(try await pier("connect", "file://\(file)?mode=write", saying: "three\n").status == 0)
            #expect(contents(of: file) == "three\n")
        }
    }

    @Test func muchIsWrittenWhole() async throws {
        let sent = randomBytes(3_000_000)
        let copy = temporaryPath("copy")
        defer { unlink(copy) }
        try await withFile(sent) { file in
            let command = try await pier("connect", "file:\(copy)", input: .file(file))
            #expect(command.status == 0)
            #expect(try await areEqual(file, copy))
        }
    }

    @Test func whatItHoldsIsReceived() async throws {
        let held = randomBytes(300_000)
        try await withFile(held) { file in
            for words in [
                ["listen", "file://\(file)"], ["connect", "file://\(file)?mode=read"],
                ["connect", "file://\(file)", "--duplex", "receive"],
            ] {
                // None of the input is read, which could only be lost.
                try await starting([Place.pier] + words) { program in
                    program.write("not sent")
                    let status = try await program.end()
                    #expect(status == 0)
                    #expect(program.output.bytes == held)
                    #expect(program.errors.text.isEmpty, "\(program.errors.text)")
                }
            }
            let part = try await pier("listen", "file://\(file)", "--bytes", "100000")
            #expect(part.status == 0 && part.bytes == Array(held.prefix(100_000)), "\(part.errors)")
        }
    }

    @Test(arguments: [
        (["connect", "file:a?mode=both"], "mode is one of"), (["connect", "file:a", "--duplex", "half"], "no replies"),
        (["connect", "file:a?mode=read", "--duplex", "send"], "exclude each other"),
        (["listen", "file:a?mode=append", "--duplex", "receive"], "exclude each other"),
        (["listen", "file:a", "--keep"], "leave --keep out"), (["connect", "file:a?mode=read", "--crlf"], "--crlf"),
        (["connect", "file:a", "-4"], "no IP address"),
        (["connect", "exec:cat", "--source", "[::1]:0"], "no IP address"),
    ])
    func whatCannotBeIsUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
        #expect(access("a", F_OK) != 0)
    }

    @Test(arguments: [
        ("file:///no/such/directory/file", "open file:///no/such/directory/file: no such file or directory"),
        ("file:///tmp", "is a directory"), ("file:///dev/full", "write file:///dev/full: no space left on device"),
    ])
    func whatCannotBeWrittenIsAFailure(place: String, sentence: String) async throws {
        for duplex in ["full", "send"] {
            let command = try await pier("connect", place, "--duplex", duplex, saying: "hello\n")
            #expect(command.status == 1)
            expectOneSentence(command, sentence)
        }
        let told = try await pier("connect", place, "--events", "json", saying: "hello\n")
        let events = try await Events.checked(Array(told.errors.utf8))
        #expect(events.contains { $0.hasPrefix("error message=") && $0.contains("errno=") }, "\(events)")
        #expect(!events.contains { $0.hasPrefix("reset") }, "\(events)")
    }

    @Test func whatIsNotThereCannotBeRead() async throws {
        let command = try await pier("connect", "file:///no/such/file", "--duplex", "receive")
        #expect(command.status == 1)
        expectOneSentence(command, "no such file")
    }
}
