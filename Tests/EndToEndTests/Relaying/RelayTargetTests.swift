import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `pier relay` to what is no address: programs, files, and what it was started with.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct RelayTargetTests {
    /// What clients can connect to, and how `relay` comes by it.
    enum Front: CaseIterable, Sendable {
        case tcp, unix, descriptor, inherited
    }

    /// It sorts when all has come, so the end of what the client says has to get there.
    @Test(arguments: Front.allCases)
    func aProgramHearsTheEndAndThenAnswers(front: Front) async throws {
        let path = temporaryPath("sock")
        let listen =
            switch front {
            case .tcp: "127.0.0.1:0"
            case .unix: path
            case .descriptor: "fd:3"
            case .inherited: "systemd:web"
            }
        let isInherited = front == .descriptor || front == .inherited
        let launcher = isInherited ? Passing.sockets(Passing.listening, names: ["web"]) : []
        try await running("relay", listen, "exec:sort", launcher: launcher) { relay in
            let line = try await relay.errors.line(with: "listening ")
            let endpoint = String(line.split(separator: " ")[1])
            for _ in 0..<2 {
                let client = try await pier("connect", endpoint, saying: "b\nc\na\n")
                #expect(client.output == "a\nb\nc\n" && client.status == 0, "\(client.errors)")
            }
            try await eventually(patience, "the programs' end") { [pid = relay.pid] in children(of: pid).isEmpty }
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
        }
    }

    @Test func aProgramKnowsItsClientAndHasItForItself() async throws {
        try await running("relay", "127.0.0.1:0", "exec:sh -c 'echo $PIER_PEER_ADDRESS $PIER_LOCAL_ADDRESS; cat'") {
            relay in
            let port = try await listeningPort(of: relay)
            for _ in 0..<3 {
                let client = try Peer(port: port)
                client.finish()
                let text = try client.receiveText()
                #expect(text == "tcp://127.0.0.1:\(localPort(of: client.descriptor)) tcp://127.0.0.1:\(port)\n")
            }
        }
    }

    /// On a socket pair an end with bytes left unread looks like a reset, and it is none.
    @Test func aProgramThatDoesNotReadAllOfItsInputHasEndedAllTheSame() async throws {
        let much = temporaryPath("in")
        try makeFile(much, [UInt8](repeating: 0x61, count: 4 << 20))
        defer { unlink(much) }
        try await running("relay", "127.0.0.1:0", "exec:head -c 3", "--events", "json") { relay in
            let port = try await listeningPort(of: relay)
            for _ in 0..<5 {
                let client = try await pier("connect", "127.0.0.1:\(port)", input: .file(much))
                #expect(client.output == "aaa" && client.status == 0, "\(client.errors)")
            }
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
            let events = try await Events.checked(relay.errors.bytes)
            #expect(events.last?.hasSuffix(" errors=0") == true, "\(events)")
        }
    }

    /// One that takes no more may still have much to say, and its client say all before it listens.
    @Test func aProgramThatTakesNoMoreIsHeardToItsEnd() async throws {
        try await running("relay", "127.0.0.1:0", "exec:sh -c 'exec <&-; echo up; sleep 0.3; seq 200000'") { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try await onThread {
                #expect(try client.receive(3) == Array("up\n".utf8))
                // More than fits on the way.
                try client.send([UInt8](repeating: 0, count: 32 << 20))
                client.finish()
                let text = try client.receiveText()
                #expect(text.hasSuffix("\n199999\n200000\n"))
            }
        }
    }

    @Test func whatIsNoProgramIsPassedOverAndTriedAgain() async throws {
        let script = temporaryPath("script")
        defer { unlink(script) }
        try await running(
            "relay", "127.0.0.1:0", "exec:\(script)", "--retry", "forever", "--backoff", "10ms..50ms"
        ) { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try client.send("meanwhile")
            client.finish()
            try await relay.errors.line(with: "run exec:\(script): no such file or directory")
            try makeFile(script + ".new", Array("#!/bin/sh\ncat\n".utf8))
            chmod(script + ".new", 0o700)
            rename(script + ".new", script)
            #expect(try client.receiveText() == "meanwhile")
        }
        try await running("relay", "127.0.0.1:0", "exec:\(script).none", "exec:cat") { relay in
            let port = try await listeningPort(of: relay)
            for _ in 0..<2 { #expect(try Peer(port: port).echo("x") == "x") }
        }
    }

    // MARK: Files

    @Test func aFileCollectsWhatClientsSend() async throws {
        let path = temporaryPath("log")
        try makeFile(path, Array("before\n".utf8))
        defer { unlink(path) }
        try await running("relay", "127.0.0.1:0", "file:\(path)") { relay in
            let port = try await listeningPort(of: relay)
            let clients = try (0..<8).map { _ in try Peer(port: port) }
            for (number, client) in clients.enumerated() { try client.send("\(number)\n") }
            // The end comes when all has been written.
            for client in clients {
                client.finish()
                #expect(try client.receiveText() == "")
            }
            let lines = contents(of: path).split(separator: "\n")
            #expect(lines.first == "before" && lines.dropFirst().sorted() == (0..<8).map { "\($0)" })
            // More at once than any buffer holds.
            let bytes = randomBytes(8 << 20)
            let client = try Peer(port: port)
            try await onThread {
                try client.send(bytes)
                client.finish()
                let text = try client.receiveText()
                #expect(text == "")
            }
            #expect(EndToEndTests.bytes(of: path).suffix(bytes.count) == bytes[...])
            try await eventually(patience, "closing the file") { [pid = relay.pid] in
                !descriptors(of: pid).contains(path)
            }
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
        }
    }

    @Test func aFileOpenedToReadIsSentToEachClient() async throws {
        let path = temporaryPath("page")
        let bytes = randomBytes(3 << 20)
        try makeFile(path, bytes)
        defer { unlink(path) }
        try await running("relay", "127.0.0.1:0", "file:\(path)?mode=read") { relay in
            let port = try await listeningPort(of: relay)
            for asks in [false, true] {
                let client = try Peer(port: port)
                try await onThread {
                    // What it says goes nowhere, and does not turn the end into a reset.
                    if asks { try client.send([UInt8](repeating: 1, count: 8 << 20)) }
                    client.finish()
                    let got = try client.receive(.max)
                    #expect(got == bytes)
                }
            }
        }
    }

    /// A client whose words were not kept must not take that for success.
    @Test func aFileThatTakesNoMoreIsAResetAndIsTold() async throws {
        try await running("relay", "127.0.0.1:0", "file:/dev/full") { relay in
            let port = try await listeningPort(of: relay)
            for _ in 0..<3 {
                let client = try await pier("connect", "127.0.0.1:\(port)", saying: "lost")
                #expect(client.status == 1 && client.errors.contains("reset"), "\(client.errors)")
            }
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
            let told = relay.errors.lines.filter { $0.contains("no space left on device") }
            #expect(told == ["warning: write file:///dev/full: no space left on device"])
        }
        try await running("relay", "127.0.0.1:0", "file:/dev/full", "--events", "json") { relay in
            let port = try await listeningPort(of: relay)
            #expect(try await pier("connect", "127.0.0.1:\(port)", saying: "lost").status == 1)
            relay.send(SIGTERM)
            #expect(try await relay.end() == 0)
            let events = try await Events.checked(relay.errors.bytes)
            #expect(
                events.contains {
                    $0.hasPrefix("error connection=2 peer=file:///dev/full client=1 ")
                        && $0.hasSuffix("operation=write cause=system errno=28")
                }, "\(events)")
        }
    }

    // MARK: What is there once

    @Test func standardStreamsAreForOneClientAndThenNobodyListens() async throws {
        try await running("relay", "127.0.0.1:0", "-") { relay in
            let port = try await listeningPort(of: relay)
            relay.write("from standard input")
            let client = try Peer(port: port)
            #expect(try client.receive(19) == Array("from standard input".utf8))
            try await eventually(patience, "refusing") { (try? Peer(port: port)) == nil }
            try client.send("from the client")
            try await relay.output.begins(with: "from the client")
            relay.finishInput()
            #expect(try client.receiveText() == "")
            try client.send(", and the rest")
            client.finish()
            #expect(try await relay.end() == 0)
            #expect(relay.output.text == "from the client, and the rest")
        }
    }

    /// Who reads standard output slowly gets all of it.
    @Test func aSlowReaderOfStandardOutputLosesNothing() async throws {
        let bytes = randomBytes(1 << 20)
        let path = temporaryPath("out")
        defer { unlink(path) }
        let script = "\"$0\" relay 127.0.0.1:0 - < /dev/null | { sleep 3; cat > \"$1\"; }; echo read"
        try await starting(["sh", "-c", script, Place.pier, path]) { shell in
            let client = try Peer(port: try await listeningPort(of: shell))
            try await onThread {
                try client.send(bytes)
                client.finish()
                let text = try client.receiveText()
                #expect(text == "")
            }
            try await shell.output.line(with: "read")
            #expect(EndToEndTests.bytes(of: path) == bytes)
        }
    }

    @Test(arguments: ["fd:3", "systemd:web"])
    func aConnectedSocketIsATargetOnce(target: String) async throws {
        let host = try Host()
        let launcher = Passing.sockets(Passing.connected(to: host.port), names: ["web"])
        try await running("relay", "127.0.0.1:0", target, launcher: launcher) { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            let other = try await host.accept()
            try client.send("there")
            client.finish()
            #expect(try other.receiveText() == "there")
            try other.send("and back")
            other.finish()
            #expect(try client.receiveText() == "and back")
            #expect(try await relay.end() == 0)
        }
    }

    /// The one client of a target that is there once is what the command is for.
    @Test func aResetOfTheOnlyClientIsAFailure() async throws {
        try await running("relay", "127.0.0.1:0", "-") { relay in
            let client = try Peer(port: try await listeningPort(of: relay))
            try client.send("half of it")
            try await relay.output.begins(with: "half of it")
            client.resetAtClose()
            try client.resetNow()
            relay.finishInput()
            #expect(try await relay.end() == 1)
            #expect(relay.errors.text.contains("reset"), "\(relay.errors.text)")
        }
    }
}
