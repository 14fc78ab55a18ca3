import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("F5: CR, LF, CR LF and NUL", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct LineEndTests {
    /// A line ends with LF or CR LF, which is not sent. Everything else of it is, NUL and a CR in its middle too.
    @Test(arguments: [
        ("a\n", "a"), ("a\r\n", "a"), ("a\rb\n", "a\rb"), ("a\0b\n", "a\0b"), ("a\r\r\n", "a\r"), ("\0\n", "\0"),
        // The last line may lack its end, and then a CR is no part of one.
        ("a", "a"), ("a\r", "a\r"),
    ])
    func aLineOfADialogueIsSentWithoutItsEnd(typed: String, sent: String) async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write(typed)
            client.finishInput()
            let peer = try await host.accept()
            #expect(try peer.receive(sent.utf8.count) == Array(sent.utf8))
            try peer.send("ok")
            #expect(try peer.receiveText() == "")
            peer.finish()
            #expect(try await client.end() == 0)
        }
    }

    @Test(arguments: ["\n", "\r\n"])
    func aLineOfNothingButItsEndIsEmptyAndNotSent(typed: String) async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write(typed)
            client.finishInput()
            let peer = try await host.accept()
            #expect(try peer.receiveText() == "")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(client.errors.text.contains("empty"))
        }
    }

    /// One line's end at the end of a message is dropped; all others are shown as what they are.
    @Test(arguments: [
        ("a\n", "a"), ("a\r\n", "a"), ("a\r", "a\\r"), ("a\r\r\n", "a\\r"), ("a\nb", "a\\nb"), ("a\n\n", "a\\n"),
        ("a\r\nb", "a\\r\\nb"), ("\0a\0", "\\x00a\\x00"), ("\n", ""),
    ])
    func aMessageIsShownOnOneLine(message: String, shown: String) async throws {
        try await serving { server in
            let client = try server.client()
            #expect(try client.echo(message) == message)
            let line = try await server.program.output.line(with: "received-->")
            #expect(line.hasSuffix(" received-->" + shown), "\(line)")
            #expect(server.program.output.lines.count == 1)
        }
        // And as a reply it is shown the same.
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", "--duplex", "half") { client in
            client.write("?\n")
            let peer = try await host.accept()
            #expect(try peer.receive(1) == [UInt8(ascii: "?")])
            try peer.send(message)
            try await client.output.begins(with: "--->reply-->\(shown)\n--->")
        }
    }
}

@Suite("F8: the end of the input, beside other programs", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct InputEndTests {
    fileprivate static let hasTools = ["nc", "ncat", "socat"].allSatisfy { Place.has($0) }
    private static let question = String(repeating: "how deep is the water?\n", count: 5000)
    private static let answer = String(repeating: "deep enough\n", count: 3000)

    /// Its end is passed on, and what the other still has to say is received to its end: with no flag, as with `nc -N`.
    @Test(.enabled(if: InputEndTests.hasTools, "nc, ncat or socat is not installed"))
    func aListeningProgramThatAnswersAfterTheEndIsHeard() async throws {
        try await listening(["socat", "-t20", "-", "TCP-LISTEN:PORT,bind=127.0.0.1"]) { other, port, question in
            async let client = pier("connect", "127.0.0.1:\(port)", input: .file(question))
            try await eventually(patience, "the question") { other.output.text == Self.question }
            other.write(Self.answer)
            other.finishInput()
            let ended = try await client
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(ended.output == Self.answer)
            let status = try await other.end()
            #expect(status == 0, "\(other.errors.text)")
        }
    }

    /// These two do not wait for their own input once their peer has finished: they end, and so does the client.
    @Test(
        .enabled(if: InputEndTests.hasTools, "nc, ncat or socat is not installed"),
        arguments: [["nc", "-lN", "127.0.0.1", "PORT"], ["ncat", "-l", "127.0.0.1", "PORT"]])
    func aListeningProgramThatEndsWithItsPeerHasHeardAll(words: [String]) async throws {
        try await listening(words) { other, port, question in
            let client = try await pier("connect", "127.0.0.1:\(port)", input: .file(question))
            #expect(client.status == 0, "\(client.errors)")
            #expect(client.output == "")
            let status = try await other.end()
            #expect(status == 0, "\(other.errors.text)")
            #expect(other.output.text == Self.question)
        }
    }

    /// Runs a program that listens on PORT, while `body` runs with it, its port and a file with the question.
    private func listening(
        _ words: [String], _ body: (Program, UInt16, String) async throws -> Void
    ) async throws {
        let port = try freePort()
        let question = temporaryPath("question")
        try makeFile(question, Array(Self.question.utf8))
        defer { unlink(question) }
        let command = words.map {
            $0.split(separator: "PORT", omittingEmptySubsequences: false).joined(separator: "\(port)")
        }
        try await starting(command) { other in
            try await eventually(patience, "listening") { isListened(on: port) }
            try await body(other, port, question)
        }
    }

    /// A program that ends its sending direction with its input gets everything back before the server ends.
    @Test(
        .enabled(if: InputEndTests.hasTools, "nc, ncat or socat is not installed"),
        arguments: [
            ["nc", "-N", "127.0.0.1", "PORT"], ["ncat", "127.0.0.1", "PORT"],
            ["socat", "-t20", "-", "TCP:127.0.0.1:PORT"],
        ])
    func aConnectingProgramGetsAllBack(words: [String]) async throws {
        let question = temporaryPath("question")
        try makeFile(question, Array(Self.question.utf8))
        defer { unlink(question) }
        try await serving("--show", "none") { server in
            let command = words.map {
                $0.split(separator: "PORT", omittingEmptySubsequences: false).joined(separator: "\(server.port)")
            }
            try await starting(command, input: .file(question)) { other in
                let status = try await other.end()
                #expect(status == 0, "\(other.errors.text)")
                #expect(other.output.text == Self.question)
            }
        }
    }

    /// Nothing ends it but the peer: there is no time after which it stops listening.
    @Test func afterTheEndOfTheInputALateAnswerIsStillReceived() async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", input: .file("/dev/null")) { client in
            let peer = try await host.accept()
            #expect(try peer.receiveText() == "")
            let start = ContinuousClock.now
            try await eventually { ContinuousClock.now - start > .milliseconds(700) }
            #expect(client.ending == nil)
            try peer.send("late")
            peer.finish()
            #expect(try await client.end() == 0)
            #expect(client.output.text == "late")
        }
    }
}

/// Whether some socket of this machine listens on a port of 127.0.0.1.
private func isListened(on port: UInt16) -> Bool {
    let number = String(port, radix: 16, uppercase: true)
    let place = "0100007F:" + String(repeating: "0", count: 4 - number.count) + number
    return contents(of: "/proc/net/tcp").split(separator: "\n").contains { $0.contains("\(place) 00000000:0000 0A") }
}
