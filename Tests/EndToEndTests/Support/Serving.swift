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

    /// Waits until as many descriptors are open as before there were clients.
    func hasOnly(_ descriptors: Int) async throws {
        let pid = program.pid
        try await eventually(.seconds(20), "closing all but \(descriptors) descriptors") {
            descriptorCount(of: pid) == descriptors
        }
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
        try await body(EchoServer(program: program, port: try await listeningPort(of: program)))
    }
}

/// The port that a server tells.
func listeningPort(of program: Program) async throws -> UInt16 {
    let line = try await program.errors.line(with: "listening tcp://")
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0) }) else { throw Unexpected(text: line) }
    return port
}

/// How many descriptors a process has open.
func descriptorCount(of pid: pid_t) -> Int {
    guard let directory = opendir("/proc/\(pid)/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
        if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
    }
    return count
}

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
        written += Int(
            try valid(
                CInt(
                    bytes.withUnsafeBytes {
                        write(descriptor, $0.baseAddress?.advanced(by: written), min(1 << 20, bytes.count - written))
                    })))
    }
}

/// Bytes that nobody can have guessed.
func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var all: [UInt8] = []
    all.reserveCapacity(count + 8)
    while all.count < count { withUnsafeBytes(of: generator.next()) { all += $0 } }
    return Array(all.prefix(count))
}
