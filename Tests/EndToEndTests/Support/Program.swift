import SocketCore
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a standard stream of a started program is joined to.
enum Stream: Sendable {
    /// A pipe: written with `write`, or gathered.
    case pipe
    /// A pipe that nobody reads, or that nothing is written to.
    case unread
    /// Nothing at all.
    case closed
    /// A file, opened for reading, or made anew for writing.
    case file(String)
    /// A descriptor that stays the caller's.
    case descriptor(CInt)
}

/// A program that a test started, and that ends with the test.
final class Program: Sendable {
    let pid: pid_t
    let output: Gathering
    let errors: Gathering
    private let input: Lock<CInt>
    private let unread: [CInt]
    private let status = Lock<CInt?>(nil)

    /// Starts the built `pier`, or with `launcher` the program that starts it, or with an absolute path any other.
    fileprivate init(
        _ words: [String], input: Stream, output: Stream, errors: Stream, environment: [String: String]
    ) throws {
        var plumbing = Plumbing()
        defer { plumbing.closeTheirs() }
        let ends = try [
            plumbing.join(0, input), plumbing.join(1, output), plumbing.join(2, errors),
        ]
        self.input = Lock(ends[0] ?? -1)
        do {
            pid = try plumbing.spawn(words, environment: environment)
        } catch {
            for end in ends.compactMap(\.self) { close(end) }
            throw error
        }
        var unread: [CInt] = []
        func gathering(_ end: CInt?, _ stream: Stream) -> Gathering {
            if case .unread = stream, let end { unread.append(end) }
            if case .pipe = stream { return Gathering(end) }
            return Gathering(nil)
        }
        self.output = gathering(ends[1], output)
        self.errors = gathering(ends[2], errors)
        self.unread = unread
    }

    /// Writes to its standard input; no more at once than a pipe holds.
    func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = input.withLock { Glibc.write($0, bytes, bytes.count) }
    }

    /// Waits until a pipe that nothing reads is full, so that the program waits for room.
    func hasFilledItsOutput() async throws {
        let seen = Lock<(count: CInt, looks: Int)>((0, 0))
        try await eventually(patience, "a full pipe") { [unread] in
            var count: CInt = 0
            guard let end = unread.first, ioctl(end, UInt(FIONREAD), &count) == 0 else { return false }
            return seen.withLock { seen in
                seen = seen.count == count ? (count, seen.looks + 1) : (count, 0)
                return count > 49152 && seen.looks >= 50
            }
        }
    }

    /// Ends its standard input.
    func finishInput() {
        input.withLock { fd in
            if fd >= 0 { close(fd) }
            fd = -1
        }
    }

    /// Sends a signal that always counts as a new one: by sigqueue(3), as kill(2) of one process twice in half a second is
    /// one signal.
    func send(_ signal: CInt) {
        // Once it is waited for, its number may be another's.
        status.withLock { if $0 == nil { sigqueue(pid, signal, sigval()) } }
    }

    /// Sends a signal by kill(2).
    func kill(_ signal: CInt) {
        status.withLock { if $0 == nil { _ = Glibc.kill(pid, signal) } }
    }

    /// Whether a signal that was sent has not arrived yet.
    func isPending(_ signal: CInt) -> Bool {
        let line = contents(of: "/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("ShdPnd:") }
        let set = line.flatMap { UInt64($0.split(separator: "\t").last ?? "", radix: 16) } ?? 0
        return set >> UInt64(signal - 1) & 1 == 1
    }

    /// The exit code, or the signal that killed it with a minus; nil while it runs.
    var ending: CInt? {
        status.withLock { status in
            if status != nil { return status }
            var raw: CInt = 0
            guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
            status = raw & 0x7f == 0 ? raw >> 8 & 0xff : -(raw & 0x7f)
            return status
        }
    }

    /// Waits for its end and for all that it wrote.
    func end(within limit: Duration = patience) async throws -> CInt {
        try await eventually(limit, "the end of the program; so far: \(errors.text)") { self.ending != nil }
        try await eventually(limit, "the end of its output") { self.output.isAtEnd && self.errors.isAtEnd }
        return ending ?? -1
    }

    /// Nothing stays behind, whatever has happened; also no path that a server has no time to remove.
    fileprivate func remove(_ words: [String]) {
        if ending == nil {
            send(SIGKILL)
            for word in words where word.hasPrefix(temporaryPathPrefix) { unlink(String(word.prefix { $0 != "?" })) }
        }
        while ending == nil { usleep(1000) }
        finishInput()
        for end in unread { close(end) }
    }
}

/// What all paths begin with that tests make.
private let temporaryPathPrefix = "/tmp/pier-\(getpid())-"

/// What a program left when it had ended.
struct Outcome {
    let status: CInt
    let bytes: [UInt8]
    let errors: String
    var output: String { String(decoding: bytes, as: UTF8.self) }
}

/// Runs `pier` with these arguments while `body` runs, and no longer.
func running<R>(
    _ arguments: String..., launcher: [String] = [], input: Stream = .pipe, output: Stream = .pipe,
    errors: Stream = .pipe, environment: [String: String] = [:], _ body: (Program) async throws -> R
) async throws -> R {
    try await starting(
        launcher + [Place.pier] + arguments, input: input, output: output, errors: errors, environment: environment,
        body)
}

/// Runs any program while `body` runs, and no longer.
func starting<R>(
    _ words: [String], input: Stream = .pipe, output: Stream = .pipe, errors: Stream = .pipe,
    environment: [String: String] = [:], _ body: (Program) async throws -> R
) async throws -> R {
    let program = try Program(words, input: input, output: output, errors: errors, environment: environment)
    defer { program.remove(words) }
    return try await body(program)
}

/// Runs `pier` to its end.
func pier(
    _ arguments: String..., launcher: [String] = [], saying text: String = "", input: Stream = .pipe,
    output: Stream = .pipe, errors: Stream = .pipe, environment: [String: String] = [:],
    within limit: Duration = patience
) async throws -> Outcome {
    try await starting(
        launcher + [Place.pier] + arguments, input: input, output: output, errors: errors, environment: environment
    ) { program in try await program.outcome(saying: text, within: limit) }
}

/// Runs any program to its end.
func outcome(of words: [String], saying text: String = "", environment: [String: String] = [:]) async throws -> Outcome
{
    try await starting(words, environment: environment) { program in
        try await program.outcome(saying: text, within: patience)
    }
}

extension Program {
    fileprivate func outcome(saying text: String, within limit: Duration) async throws -> Outcome {
        if !text.isEmpty { write(text) }
        finishInput()
        let status = try await end(within: limit)
        return Outcome(status: status, bytes: output.bytes, errors: errors.text)
    }
}
