import SocketCore
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A job of an interactive shell, which stops and goes on as any program's does.
@Suite(.inTurnOnThreads, .serialized, .enabled(if: Place.has("setsid") && Place.has("bash")), .timeLimit(.minutes(10)))
struct JobControlTests {
    /// How a job comes to read the terminal.
    enum Reader: String, CaseIterable, Sendable {
        case listen, connect, dialogue, relay

        /// The command's words, and what gives its peer.
        func start() throws -> (words: String, peer: () async throws -> Peer) {
            if self == .listen {
                let path = temporaryPath("sock")
                return (
                    "listen \(path)",
                    {
                        return try await connected(to: path)
                    }
                )
            }
            let host = try Host()
            let words =
                switch self {
                case .dialogue: "connect 127.0.0.1:\(host.port) --duplex half"
                case .relay: "relay - 127.0.0.1:\(host.port)"
                default: "connect 127.0.0.1:\(host.port)"
                }
            return (words, { try await host.accept() })
        }
    }

    @Test(arguments: Reader.allCases)
    func aKeypressStopsABackgroundJobAndTheForegroundContinuesIt(reader: Reader) async throws {
        try await withShell { shell in
            let output = temporaryPath("out")
            defer { unlink(output) }
            let job = try await shell.startJob(reader, output: output)
            try await shell.stopsWhileReading(job.pid)
            try job.peer.send("two\n")
            try await shell.foregrounds(job.pid)
            shell.terminal.type("hello\n")
            #expect(try job.peer.receive(5) == Array("hello".utf8))
            try await eventually(patience, "what came while it was stopped") { contents(of: output).contains("two") }
            #expect(takesLines(shell.terminal.program))

            // Again, by Control-Z.
            shell.terminal.type("\u{1a}")
            try await shell.stops(job.pid)
            if reader != .dialogue { #expect(try job.peer.receive(1) == [10]) }
            try await shell.foregrounds(job.pid)
            if reader == .dialogue { try job.peer.send("three\n") }
            shell.terminal.type("again\n")
            #expect(try job.peer.receive(5) == Array("again".utf8))
            shell.terminal.typeEnd()
            if reader != .dialogue { #expect(try job.peer.receiveText() == "\n") }
            job.peer.finish()
            #expect(try await shell.status() == 0)
        }
    }

    /// The job was stopped inside read(2), and has no input when it goes on.
    @Test(arguments: [Reader.listen, .connect])
    func aJobThatWasStoppedWhileItReadEndsWithItsPeer(reader: Reader) async throws {
        try await withShell { shell in
            let job = try await shell.startJob(reader, output: "/dev/null")
            try await shell.stopsWhileReading(job.pid)
            try await shell.foregrounds(job.pid)
            job.peer.finish()
            _ = try await shell.status()
            #expect(!isRunning(job.pid))
        }
    }

    @Test(arguments: Reader.allCases)
    func aJobThatWasStoppedWhileItReadEndsAtControlC(reader: Reader) async throws {
        try await withShell { shell in
            let job = try await shell.startJob(reader, output: "/dev/null")
            try await shell.stopsWhileReading(job.pid)
            try await shell.foregrounds(job.pid)
            shell.terminal.type("\u{3}")
            #expect(try job.peer.receiveText() == "")
            job.peer.finish()
            _ = try await shell.status()
            #expect(!isRunning(job.pid))
        }
    }

    @Test(arguments: [2, 1])
    func aBackgroundJobThatMayNotWriteToTheTerminalStops(stream: Int) async throws {
        try await withShell { shell in
            let path = temporaryPath("sock")
            defer { unlink(path) }
            shell.terminal.type("stty tostop\n")
            shell.terminal.type("\(Place.pier) serve echo \(path) </dev/null \(stream == 1 ? "2>/dev/null " : "")&\n")
            let pid = try await shell.job()
            if stream == 2 {
                try await shell.stops(pid)
                #expect(!shell.screen.text.contains("listening"))
                try await shell.foregrounds(pid)
                try await shell.sees("listening unix://\(path)")
            } else {
                try await eventually(patience, "listening") { (try? Peer(path: path)) != nil }
                let client = try Peer(path: path)
                try client.send("hello")
                try await shell.stops(pid)
                #expect(!shell.screen.text.contains("received-->hello"))
                try await shell.foregrounds(pid)
                #expect(try client.receive(5) == Array("hello".utf8))
                try await shell.sees("received-->hello")
            }
            shell.terminal.type("\u{3}")
            #expect(try await shell.status() == 0)
        }
    }
}

/// A connection to a path at which a server is about to listen.
private func connected(to path: String) async throws -> Peer {
    let found = Lock<Peer?>(nil)
    try await eventually(patience, "listening") {
        found.withLock { $0 = try? Peer(path: path) }
        return found.withLock { $0 } != nil
    }
    guard let peer = found.withLock({ $0 }) else { throw Unexpected(text: path) }
    return peer
}

/// An interactive shell with a terminal of its own.
private struct Shell {
    let program: Program
    let terminal: Terminal
    let screen: Gathering

    /// Waits for a text on the screen that is not there yet.
    func sees(_ text: String) async throws {
        try await eventually(patience, "\"\(text)\" on the screen: \(screen.text)") { screen.text.contains(text) }
    }

    /// Starts Pier in the background, with the terminal as its input.
    func startJob(
        _ reader: JobControlTests.Reader, output: String
    ) async throws -> (pid: pid_t, peer: Peer) {
        let (words, peer) = try reader.start()
        terminal.type("\(Place.pier) \(words) >\(output) &\n")
        let joined = try await peer()
        return (try await job(), joined)
    }

    /// The process of its only job, which the shell tells.
    func job() async throws -> pid_t {
        try await eventually(patience, "a job") { screen.text.contains(/\[1\] \d+\n/) }
        return screen.text.firstMatch(of: /\[1\] (\d+)\n/).flatMap { pid_t($0.1) } ?? 0
    }

    func stops(_ pid: pid_t) async throws {
        try await eventually(patience, "its stop; so far: \(screen.text)") { hasStopped(pid) || !isRunning(pid) }
        guard hasStopped(pid) else { throw Unexpected(text: screen.text) }
    }

    private func hasStopped(_ pid: pid_t) -> Bool { fields(of: pid).first == "T" }

    /// Types until a background job, which sees that the terminal can be read, tries to read it and stops. Mostly the shell
    /// has read the key before.
    func stopsWhileReading(_ pid: pid_t) async throws {
        try await eventually(patience, "its stop; so far: \(screen.text)") {
            terminal.type("\n")
            return hasStopped(pid) || !isRunning(pid)
        }
        guard hasStopped(pid) else { throw Unexpected(text: screen.text) }
        // What is typed next must not come among these.
        terminal.type("echo typed$((1 + 1))\n")
        try await sees("typed2")
    }

    /// Continues the job in the foreground.
    func foregrounds(_ pid: pid_t) async throws {
        terminal.type("fg\n")
        try await eventually(patience, "the foreground: \(screen.text)") {
            // The state, and whose the terminal is.
            let fields = fields(of: pid)
            return fields.count > 5 && fields[0] != "T" && fields[5] == "\(pid)"
        }
    }

    /// How the job in the foreground ended.
    func status() async throws -> Int? {
        try await eventually(patience, "the end of the job: \(screen.text)") { children(of: program.pid).isEmpty }
        terminal.type("echo \"status=$?\"\n")
        try await eventually(patience, "a status: \(screen.text)") { screen.text.contains(/status=\d+/) }
        return screen.text.firstMatch(of: /status=(\d+)/).flatMap { Int($0.1) }
    }

    private func fields(of pid: pid_t) -> [Substring] {
        contents(of: "/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
    }
}

private func withShell(_ body: (Shell) async throws -> Void) async throws {
    let terminal = try Terminal()
    let screen = terminal.gather()
    try await starting(
        ["setsid", "--ctty", "bash", "--norc", "--noprofile", "-i"], input: .descriptor(terminal.program),
        output: .descriptor(terminal.program), errors: .descriptor(terminal.program),
        environment: ["PS1": "> ", "TERM": "dumb", "HISTFILE": ""]
    ) { program in
        try await eventually(patience, "the prompt") { screen.text.contains("> ") }
        let shell = Shell(program: program, terminal: terminal, screen: screen)
        // A job has a group of its own, and outlives the shell while it is stopped.
        defer { for child in children(of: program.pid) { kill(child, SIGKILL) } }
        try await body(shell)
    }
}
