import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `listen` with the clients that others have written, and `connect` with their listeners; both directions at once.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ListenToolTests {
    enum Tool: String, CaseIterable, Sendable {
        case nc, ncat, socat, python3

        var isThere: Bool { Place.has(rawValue) }

        /// A client that sends its input, finishes, and writes what comes.
        func client(of host: Listening) -> [String] {
            let isTCP = host.wire == .tcp
            let (port, path) = ("\(host.port)", host.path)
            switch self {
            case .nc: return ["nc", "-N"] + (isTCP ? ["127.0.0.1", port] : ["-U", path])
            case .ncat: return ["ncat"] + (isTCP ? ["127.0.0.1", port] : ["-U", path])
            case .socat: return ["socat", "-t", "60", "-", isTCP ? "TCP:127.0.0.1:\(port)" : "UNIX:\(path)"]
            case .python3:
                let script = """
                    import socket, sys, threading
                    s = socket.socket(socket.AF_INET if \(isTCP ? 1 : 0) else socket.AF_UNIX)
                    s.connect(('127.0.0.1', \(port)) if \(isTCP ? 1 : 0) else '\(path)')
                    def send():
                        s.sendall(sys.stdin.buffer.read())
                        s.shutdown(socket.SHUT_WR)
                    t = threading.Thread(target=send)
                    t.start()
                    while data := s.recv(65536): sys.stdout.buffer.write(data)
                    t.join()
                    """
                return ["python3", "-c", script]
            }
        }
    }

    @Test(arguments: Tool.allCases.filter(\.isThere), Wire.allCases)
    func theirClientsGetAllAndSayAll(tool: Tool, wire: Wire) async throws {
        let (ours, theirs) = (randomBytes(2_000_000), randomBytes(2_000_000))
        let came = temporaryPath("came")
        defer { unlink(came) }
        try await withFile(ours) { input in
            try await withFile(theirs) { question in
                try await listening(wire, input: .file(input)) { host in
                    try await starting(tool.client(of: host), input: .file(question), output: .file(came)) { client in
                        let status = try await client.end()
                        #expect(status == 0, "\(client.errors.text)")
                    }
                    #expect(try await host.program.end() == 0)
                    #expect(host.program.output.bytes == theirs)
                    #expect(bytes(of: came) == ours)
                    #expect(host.program.errors.lines.count == 1, "\(host.program.errors.text)")
                }
            }
        }
    }

    @Test(arguments: Tool.allCases.filter(\.isThere))
    func theirClientsComeOneAfterAnother(tool: Tool) async throws {
        try await listening(.unix, ["--keep", "--linger", "10ms", "-v"], input: .file("/dev/null")) { host in
            for number in 1...3 {
                let client = try await outcome(of: tool.client(of: host), saying: "\(number)")
                #expect(client.status == 0 && client.bytes.isEmpty, "\(client.errors)")
            }
            try await host.program.output.begins(with: "123")
            try await host.hasClosed(3)
            host.program.send(SIGTERM)
            #expect(try await host.program.end() == 0)
        }
    }

    @Test(arguments: [["nc", "-l"], ["ncat", "-l"], ["socat", "-t", "60", "-"]].filter { Place.has($0[0]) })
    func theirListenersAreConnectedTo(words: [String]) async throws {
        let port = try freePort()
        let place = words[0] == "socat" ? ["TCP-LISTEN:\(port),bind=127.0.0.1"] : ["127.0.0.1", "\(port)"]
        let more = words[0] == "nc" ? ["-N"] : []
        // nc may leave off sending when its client has finished, whoever that is; so it has little to say.
        let (ours, theirs) = (randomBytes(2_000_000), randomBytes(words[0] == "nc" ? 50_000 : 2_000_000))
        let came = temporaryPath("came")
        defer { unlink(came) }
        try await withFile(theirs) { input in
            try await withFile(ours) { question in
                try await starting(words + more + place, input: .file(input), output: .file(came)) { host in
                    try await eventually(patience, "listening") { isListening(port) }
                    let client = try await pier("connect", "127.0.0.1:\(port)", input: .file(question))
                    #expect(client.status == 0, "\(client.errors)")
                    #expect(client.bytes == theirs)
                    #expect(try await host.end() == 0, "\(host.errors.text)")
                    #expect(bytes(of: came) == ours)
                }
            }
        }
    }

    @Test(arguments: [["nc", "-u"], ["ncat", "-u"]].filter { Place.has($0[0]) })
    func theirDatagramsAreTakenAndAnswered(words: [String]) async throws {
        try await running("listen", "udp://127.0.0.1:0", "--linger", "200ms") { host in
            let line = try await host.errors.line(with: "udp://")
            let port = line.split(separator: ":").last.map(String.init) ?? ""
            try await starting(words + ["127.0.0.1", port]) { client in
                client.write("question")
                try await host.output.begins(with: "question")
                host.write("answer")
                try await client.output.begins(with: "answer")
                host.finishInput()
                #expect(try await host.end() == 0, "\(host.errors.text)")
            }
        }
    }

    /// Whether somebody listens on a port of 127.0.0.1, asked without connecting to it.
    private func isListening(_ port: UInt16) -> Bool {
        let digits = String(port, radix: 16, uppercase: true)
        let place = ": 0100007F:" + String(repeating: "0", count: 4 - digits.count) + digits + " 00000000:0000 0A"
        return contents(of: "/proc/net/tcp").contains(place)
    }
}
