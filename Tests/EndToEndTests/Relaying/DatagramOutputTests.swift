import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier relay` with datagrams on its near side, and a file, standard output or a pipe as the one output of all senders.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramOutputTests {
    private func framed(_ frame: String?, _ texts: [String]) -> [UInt8] {
        texts.flatMap { text -> [UInt8] in
            switch frame {
            case "lines": Array(text.utf8) + [0x0a]
            case "length": [0, UInt8(text.utf8.count)] + Array(text.utf8)
            default: Array(text.utf8)
            }
        }
    }

    @Test(arguments: [nil, "none", "lines", "length"], ["udp", "unix-dgram", "udp6"])
    func aFileTakesTheDatagramsOfAllSendersInTheOrderOfTheirArrival(frame: String?, near: String) async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        let words = frame.map { ["--frame", $0] } ?? []
        try await relayingDatagrams(datagramFront(near), to: "file:\(path)", words) { relay in
            let senders = try (0..<3).map { _ in try relay.sender() }
            var sent: [String] = []
            for round in 0..<20 {
                for (number, sender) in senders.enumerated() {
                    sent.append("sender \(number) says \(round)")
                    try sender.send(sent.last ?? "")
                }
            }
            let expected = framed(frame, sent)
            try await eventually(patience, "all datagrams") { bytes(of: path) == expected }
            relay.program.send(SIGTERM)
            #expect(try await relay.program.end() == 0, "\(relay.program.errors.text)")
            #expect(bytes(of: path) == expected)
        }
    }

    @Test(arguments: ["-", "fd:1"]) func standardOutputTakesThemAndStandardInputIsLeftAlone(target: String) async throws
    {
        let (reader, writer) = try newPipe()
        defer { close(reader) }
        try await starting(
            [Place.pier, "relay", "udp://127.0.0.1:0", target, "--frame", "lines"], input: .descriptor(reader)
        ) { program in
            let port = try await datagramPort(of: program)
            _ = Glibc.write(writer, "word", 4)
            close(writer)
            try DatagramPeer(port: port).send("one")
            try DatagramPeer(port: port).send("two")
            try await eventually(patience, "both") { program.output.text == "one\ntwo\n" }
            program.send(SIGINT)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            var buffer = [UInt8](repeating: 0, count: 8)
            #expect(Glibc.read(reader, &buffer, 8) == 4)
        }
    }

    /// What has come when the first signal arrives is written.
    @Test func theFirstSignalWritesWhatHasCome() async throws {
        try await running("relay", "udp://127.0.0.1:0", "-", "--frame", "lines", input: .file("/dev/null")) { program in
            let sender = try DatagramPeer(port: try await datagramPort(of: program))
            program.send(SIGSTOP)
            for number in 0..<100 { try sender.send("\(number)") }
            program.send(SIGTERM)
            program.send(SIGCONT)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            #expect(program.output.text == (0..<100).map { "\($0)\n" }.joined())
        }
    }

    /// Memory is bounded: what the output does not take waits in the kernel's queue, and what that drops is told.
    @Test func anOutputThatTakesNothingHasDatagramsDroppedAndCounted() async throws {
        let (reader, writer) = try newPipe()
        defer { close(reader) }
        try await starting(
            [Place.pier, "relay", "udp://127.0.0.1:0", "-", "--frame", "length", "--events", "json"],
            input: .file("/dev/null"), output: .descriptor(writer)
        ) { program in
            close(writer)
            let sender = try DatagramPeer(port: try await datagramPort(of: program))
            for _ in 0..<5000 { try sender.send([UInt8](repeating: 0x78, count: 1000)) }
            let read = Task.detached { () -> Int in
                var (count, buffer) = (0, [UInt8](repeating: 0, count: 65536))
                while true {
                    let got = Glibc.read(reader, &buffer, buffer.count)
                    if got <= 0 { return count }
                    count += got
                }
            }
            // Told with a datagram that comes later.
            try await eventually(patience, "the count of the dropped ones") {
                try? sender.send([UInt8](repeating: 0x79, count: 1000))
                return program.errors.text.contains("so the kernel dropped them")
            }
            program.send(SIGTERM)
            #expect(try await program.end() == 0, "\(program.errors.text)")
            let read1 = await read.value
            #expect(read1 % 1002 == 0 && read1 > 0)
            _ = try await Events.checked(Array(program.errors.text.utf8))
        }
    }

    /// A full device fails at the first datagram; a reader that has gone is noticed without one.
    @Test func anOutputThatIsFullEndsTheCommandAndIsTold() async throws {
        try await running("relay", "udp://127.0.0.1:0", "file:/dev/full", input: .file("/dev/null")) { program in
            try DatagramPeer(port: try await datagramPort(of: program)).send("one")
            #expect(try await program.end() == 1)
            #expect(program.errors.text.contains("pier: write file:///dev/full: no space left on device"))
        }
        let (reader, writer) = try newPipe()
        try await starting(
            [Place.pier, "relay", "udp://127.0.0.1:0", "-", "--also", "udp://127.0.0.1:0"], input: .file("/dev/null"),
            output: .descriptor(writer)
        ) { program in
            close(writer)
            _ = try await datagramPort(of: program)
            close(reader)
            #expect(try await program.end() == 1, "\(program.errors.text)")
        }
    }

    @Test func aDatagramThatTheFramingCannotCarryIsLostAndTold() async throws {
        try await running(
            "relay", "udp://127.0.0.1:0", "-", "--frame", "lines", "-v", input: .file("/dev/null")
        ) { program in
            let sender = try DatagramPeer(port: try await datagramPort(of: program))
            for text in ["one", "two\nlines", "three"] { try sender.send(text) }
            try await eventually(patience, "the others") { program.output.text == "one\nthree\n" }
            try await program.errors.line(with: "1 datagrams were lost; send -: a datagram with a line's end")
            program.send(SIGTERM)
            #expect(try await program.end() == 0)
            #expect(
                program.errors.text.contains("\(sender.name) closed: 17 bytes received in 3 messages, 0 sent"),
                "\(program.errors.text)")
            #expect(program.errors.text.contains("1 datagrams lost"), "\(program.errors.text)")
        }
    }

    @Test func aSilentSenderIsToldAsClosed() async throws {
        try await running(
            "relay", "udp://127.0.0.1:0", "-", "-v", "--idle-timeout", "50ms", input: .file("/dev/null")
        ) { program in
            let sender = try DatagramPeer(port: try await datagramPort(of: program))
            try sender.send("one")
            try await program.errors.line(with: "\(sender.name) closed: 3 bytes received in 1 messages")
            try sender.send("two")
            try await eventually(patience, "the second") { program.output.text == "onetwo" }
        }
    }

    /// Streams of a file's clients and datagrams may go to one file; each is appended.
    @Test func streamsMayGoToTheSameFile() async throws {
        let path = temporaryPath("out")
        defer { unlink(path) }
        try await running(
            "relay", "udp://127.0.0.1:0", "file:\(path)", "--also", "127.0.0.1:0", input: .file("/dev/null")
        ) { program in
            let line = try await program.errors.line(with: "listening tcp://")
            let client = try Peer(port: try #require(UInt16(line.split(separator: ":").last ?? "")))
            try client.send("stream\n")
            client.finish()
            #expect(try client.receiveText() == "")
            try DatagramPeer(port: try await datagramPort(of: program)).send("datagram\n")
            try await eventually(patience, "both") { contents(of: path) == "stream\ndatagram\n" }
        }
    }

    @Test(arguments: [
        (["udp://127.0.0.1:0", "file:/tmp/x?mode=read"], "leave ?mode=read out"),
        (["udp://127.0.0.1:0", "file:/tmp/x", "exec:cat"], "only target"),
        (["udp://127.0.0.1:0", "-", "--also", "127.0.0.1:0"], "no stream can have it"),
        (["udp://127.0.0.1:0", "file:/tmp/x", "--frame", "line"], "lines"),
    ])
    func wrongWordsAreUsage(words: [String], part: String) async throws {
        let command = try await outcome(of: [Place.pier, "relay"] + words)
        #expect(command.status == 2)
        expectOneSentence(command, part)
    }

    @Test func aFileThatCannotBeOpenedEndsTheCommandBeforeItListens() async throws {
        let command = try await pier("relay", "udp://127.0.0.1:0", "file:/no/such/folder/file")
        #expect(command.status == 1 && !command.errors.contains("listening"))
        expectOneSentence(command, "no such file")
    }

    /// The reverse: what is read at once is one datagram, also without a framing.
    @Test(arguments: ["-", "file", "exec"]) func rawBytesOfOneClientAreDatagrams(near: String) async throws {
        let path = temporaryPath("in")
        defer { unlink(path) }
        try makeFile(path, Array("one\ntwo\n".utf8))
        let (peer, target) = try datagramTarget("udp")
        let front = near == "file" ? "file:\(path)" : near == "exec" ? "exec:cat \(path)" : "-"
        let relay = try await pier("relay", front, target, "--linger", "50ms", input: .file(path))
        #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
        #expect(try peer.receiveFirst() == Array("one\ntwo\n".utf8))
        #expect(!peer.hasNews(within: 50))
    }

    @Test func aFileIsCutIntoDatagramsOfEqualLength() async throws {
        let path = temporaryPath("in")
        defer { unlink(path) }
        try makeFile(path, [UInt8](repeating: 0x78, count: 131_014))
        let (peer, target) = try datagramTarget("unix-dgram")
        let relay = try await pier("relay", "file:\(path)", target, "--linger", "50ms")
        #expect(relay.status == 0 && relay.errors == "", "\(relay.errors)")
        #expect(try peer.receive().count == 65_507)
        #expect(try peer.receive().count == 65_507)
    }
}

/// The port of a relay's UDP endpoint.
func datagramPort(of program: Program) async throws -> UInt16 {
    let line = try await program.errors.line(with: "listening")
    let found = line.firstMatch(of: /udp:\/\/127\.0\.0\.1:([0-9]+)/)
    return try #require(found.flatMap { UInt16($0.1) })
}

private func relayingDatagrams<R>(
    _ front: String, to target: String, _ words: [String], _ body: (DatagramRelaying) async throws -> R
) async throws -> R {
    if let name = words.first, let value = words.last {
        return try await relaying(front, target, name, value) { try await body($0) }
    }
    return try await relaying(front, target) { try await body($0) }
}

private func newPipe() throws -> (reader: CInt, writer: CInt) {
    var ends: [CInt] = [-1, -1]
    try uninherited {
        _ = try valid(pipe(&ends))
        return ends
    }
    return (ends[0], ends[1])
}
