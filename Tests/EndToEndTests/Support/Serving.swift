import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A `pier serve echo` that listens, while a test runs.
struct EchoServer: Sendable {
    let program: Program
    let port: UInt16

    func client() throws -> Peer { try Peer(port: port) }

    /// How many sockets it has open. Its other descriptors come when they are first needed, and stay.
    var sockets: Int { socketCount(of: program.pid) }

    /// Waits until as many sockets are open as before there were clients.
    func hasOnly(_ sockets: Int) async throws {
        let pid = program.pid
        try await eventually(patience, "closing all but \(sockets) sockets") { socketCount(of: pid) == sockets }
    }
}

/// Runs `pier serve echo 127.0.0.1:0` with more arguments while `body` runs.
func serving<R>(
    _ arguments: String..., launcher: [String] = [], output: Stream = .pipe, environment: [String: String] = [:],
    _ body: (EchoServer) async throws -> R
) async throws -> R {
    try await starting(
        launcher + [Place.pier, "serve", "echo", "127.0.0.1:0"] + arguments, input: .file("/dev/null"), output: output,
        environment: environment
    ) { program in
        let server = EchoServer(program: program, port: try await listeningPort(of: program))
        // The other endpoints come after the first.
        for path in arguments where path.hasPrefix("/") {
            try await program.errors.line(with: "unix://\(path.prefix { $0 != "?" })")
        }
        return try await body(server)
    }
}

/// The port that a server tells, in prose or as an event.
func listeningPort(of program: Program) async throws -> UInt16 {
    let line = try await program.errors.line(with: "tcp://")
    guard let port = line.firstMatch(of: /tcp:\/\/\S*?:(\d+)("|$)/) else { throw Unexpected(text: line) }
    return UInt16(port.1) ?? 0
}

/// What the descriptors of a process are.
func descriptors(of pid: pid_t) -> [String] {
    guard let directory = opendir("/proc/\(pid)/fd") else { return [] }
    defer { closedir(directory) }
    var all: [String] = []
    var target = [UInt8](repeating: 0, count: 256)
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let length = readlink("/proc/\(pid)/fd/\(name)", &target, target.count)
        if length > 0 { all.append(String(decoding: target[..<length], as: UTF8.self)) }
    }
    return all
}

/// How many sockets a process has open.
func socketCount(of pid: pid_t) -> Int { descriptors(of: pid).count { $0.hasPrefix("socket:") } }

/// The processor time that a process has used.
func processorTime(of pid: pid_t) -> Duration {
    // Its name may hold blanks; what is counted comes after the parenthesis.
    let fields = (contents(of: "/proc/\(pid)/stat").split(separator: ")").last ?? "").split(separator: " ")
    guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return .zero }
    return .milliseconds((user + system) * 1000 / sysconf(CInt(_SC_CLK_TCK)))
}

/// The memory that a process holds, in bytes.
func residentMemory(of pid: pid_t) -> Int {
    let fields = contents(of: "/proc/\(pid)/statm").split(separator: " ")
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * 4096
}

/// How much memory may have come, where `bytes` are right: the sanitizer keeps more, with each thread that was and with each
/// page that was touched.
func allowed(_ bytes: Int) -> Int { isSanitized ? bytes + (256 << 20) : bytes }

/// The text of a file, or nothing.
func contents(of path: String) -> String { String(decoding: bytes(of: path), as: UTF8.self) }

/// The bytes of a file, or none.
func bytes(of path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while case let count = read(descriptor, &buffer, buffer.count), count > 0 { all += buffer[..<count] }
    return all
}

/// Makes a file of these bytes.
func makeFile(_ path: String, _ bytes: [UInt8]) throws {
    let descriptor = try valid(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes {
            write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
        }
        guard count > 0 else { throw Errno(rawValue: errno) }
        written += count
    }
}

/// Bytes that nobody can have guessed.
func randomBytes(_ count: Int) -> [UInt8] {
    var all = [UInt8](repeating: 0, count: count)
    for start in stride(from: 0, to: count, by: 256) {
        _ = all.withUnsafeMutableBytes { getentropy($0.baseAddress?.advanced(by: start), min(256, count - start)) }
    }
    return all
}

/// Whether two files hold the same.
func areEqual(_ one: String, _ other: String) async throws -> Bool {
    try await outcome(of: ["cmp", one, other]).status == 0
}
