import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `--bytes`, `--until` and `--crlf`.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct StoppingTests {
    /// Of one piece that holds more, exactly what was asked for; and nobody's end is waited for.
    @Test(arguments: Wire.allCases, ["full", "receive"])
    func whatComesAfterTheStopIsNotWritten(wire: Wire, duplex: String) async throws {
        for (stop, written) in [
            (["--bytes", "5"], "hello"), (["--until", "lo,"], "hello,"), (["--until", #"\x6c\x6f"#], "hello"),
            (["--bytes", "1"], "h"), (["--until", "o,\\r\\n"], "hello,world\r\nhello,\r\n"),
        ] {
            try await listening(wire, stop + ["--duplex", duplex, "--linger", "1h"]) { host in
                let client = try host.client()
                try client.send("hello,world\r\nhello,\r\nworld")
                #expect(try await host.program.end() == 0, "\(host.program.errors.text)")
                #expect(host.program.output.text == written)
                #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
            }
        }
    }

    @Test func connectStopsToo() async throws {
        for (stop, written) in [(["--bytes", "5"], "hello"), (["--until", "lo,"], "hello,")] {
            let host = try Host()
            try await starting([Place.pier, "connect", "127.0.0.1:\(host.port)"] + stop) { program in
                let peer = try await host.accept()
                program.write("question")
                #expect(try peer.receive(8) == Array("question".utf8))
                try peer.send("hello,world")
                #expect(try await program.end() == 0, "\(program.errors.text)")
                #expect(program.output.text == written)
                #expect(program.errors.text.isEmpty)
            }
        }
    }

    /// What is not read is still the system's: nothing that this side took is lost.
    @Test(arguments: Wire.allCases)
    func aMatchMayBeCutOverSeveralReceives(wire: Wire) async throws {
        try await listening(wire, ["--until", "\\n\\n"]) { host in
            let client = try host.client()
            var sent = ""
            for piece in ["one\n", "two", "\n", "three\n", "\n"] {
                try client.send(piece)
                sent += piece
                try await host.program.output.begins(with: sent)
            }
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == sent)
        }
        try await listening(wire, ["--bytes", "7"]) { host in
            let client = try host.client()
            for piece in ["one", "two", "three"] { try client.send(piece) }
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "onetwot")
        }
    }

    @Test(arguments: Wire.allCases, ["full", "receive", "half"])
    func anEndThatComesFirstIsAFailureAndWhatCameIsWritten(wire: Wire, duplex: String) async throws {
        for (stop, sentence) in [
            (["--bytes", "6"], "finished after 5 bytes of the 6 that --bytes asks for"),
            (["--until", "hello,"], "finished after 5 bytes, and the text that --until asks for was not among them"),
        ] {
            try await listening(wire, stop + ["--duplex", duplex]) { host in
                let client = try host.client()
                try client.send("hello")
                client.finish()
                host.program.finishInput()
                #expect(try await host.program.end() == 1)
                #expect(host.program.output.text.hasPrefix(duplex == "half" ? "received-->hello\n" : "hello"))
                #expect(host.program.errors.lines.count == 2, "\(host.program.errors.text)")
                #expect(host.program.errors.text.contains(sentence), "\(host.program.errors.text)")
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func halfDuplexStopsToo(wire: Wire) async throws {
        for (stop, shown) in [(["--bytes", "7"], "wo"), (["--until", "wor"], "wor")] {
            try await listening(wire, stop + ["--duplex", "half"]) { host in
                let client = try host.client()
                try client.send("hello")
                try await host.program.output.begins(with: "received-->hello\n--->")
                host.program.write("and?\n")
                #expect(try client.receive(4) == Array("and?".utf8))
                try client.send("world")
                #expect(try await host.program.end() == 0, "\(host.program.errors.text)")
                #expect(host.program.output.text == "received-->hello\n--->received-->\(shown)\n")
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func withKeepItHoldsForEachClient(wire: Wire) async throws {
        try await listening(wire, ["--keep", "--until", "!", "--events", "json"]) { host in
            for word in ["one!more", "two", "three!"] {
                let client = try host.client()
                try client.send(word)
                client.finish()
                _ = try? client.receiveText()
            }
            try await host.program.output.begins(with: "one!twothree!")
            try await host.program.errors.line(with: "\"event\":\"closed\",\"connection\":3")
            host.program.send(SIGTERM)
            #expect(try await host.program.end() == 0)
            let told = try await Events.checked(host.program.errors.bytes)
            let errors = told.filter { $0.hasPrefix("error ") }
            #expect(errors.count == 1, "\(told)")
            #expect(errors.first?.hasSuffix("operation=receive cause=ended") == true, "\(told)")
            #expect(errors.first?.contains("connection=2") == true)
        }
    }

    @Test(arguments: Wire.allCases)
    func whatIsShownStopsThereToo(wire: Wire) async throws {
        try await listening(wire, ["--bytes", "2", "--show", "hex"]) { host in
            let client = try host.client()
            try client.send("abc")
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "61 62\n")
        }
        // A character that is cut by the stop is shown as the bytes it has.
        try await listening(wire, ["--bytes", "1", "--show", "text"]) { host in
            let client = try host.client()
            try client.send("深")
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "\\xe6\n" || host.program.output.text == "\\xe6")
        }
    }

    // MARK: Line ends

    @Test(arguments: Wire.allCases)
    func eachLineEndOfTheInputIsSentAsTwoBytes(wire: Wire) async throws {
        try await listening(wire, ["--crlf"]) { host in
            let client = try host.client()
            for (written, sent) in [
                ("one\ntwo\n", "one\r\ntwo\r\n"), ("three\r\n", "three\r\n"), ("cut\r", "cut\r"), ("\n", "\n"),
                ("\n", "\r\n"), ("no end", "no end"),
            ] {
                host.program.write(written)
                #expect(String(decoding: try client.receive(sent.utf8.count), as: UTF8.self) == sent)
            }
            host.program.finishInput()
            #expect(try client.receiveText() == "")
            // What comes is not changed.
            try client.send("as\nit\r\nis")
            client.finish()
            #expect(try await host.program.end() == 0)
            #expect(host.program.output.text == "as\nit\r\nis")
        }
    }

    @Test func inHalfDuplexALineIsSentWithItsEndAndMayBeEmpty() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half", "--crlf") { program in
            let peer = try await host.accept()
            for line in ["EHLO me", ""] {
                program.write(line + "\n")
                #expect(String(decoding: try peer.receive(line.utf8.count + 2), as: UTF8.self) == line + "\r\n")
                try peer.send("250 ok\r\n")
                try await program.output.line(with: "reply-->250 ok")
            }
            program.finishInput()
            peer.finish()
            #expect(try await program.end() == 0)
        }
    }

    /// What a client took nothing of is the next one's, and is converted for that one.
    @Test func whatIsKeptForTheNextClientIsTheInputItself() async throws {
        try await listening(.unix, ["--keep", "--crlf", "--linger", "1h"]) { host in
            do {
                let client = try host.client()
                client.finish()
            }
            host.program.write("line\n")
            let next = try host.client()
            #expect(try next.receive(6) == Array("line\r\n".utf8))
            host.program.write("more\n")
            #expect(try next.receive(6) == Array("more\r\n".utf8))
        }
    }
}
