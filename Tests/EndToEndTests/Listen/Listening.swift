import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What streams go over.
enum Wire: String, CaseIterable, Sendable {
    case tcp, unix
}

/// A `pier listen` that listens, while a test runs.
struct Listening: Sendable {
    let program: Program
    let wire: Wire
    let port: UInt16
    let path: String

    /// What `pier connect` and other tools are told.
    var place: String { wire == .tcp ? "127.0.0.1:\(port)" : path }

    func client() throws -> Peer { wire == .tcp ? try Peer(port: port) : try Peer(path: path) }

    /// Waits until so many clients have ended, as `-v` reports it: a signal then comes between two clients.
    func hasClosed(_ count: Int) async throws {
        try await eventually(patience, "the end of \(count) clients") { [errors = program.errors] in
            errors.lines.count { $0.contains(" closed: ") } == count
        }
    }

    /// Waits until nobody is let in any more.
    func refusing() async throws {
        try await eventually(patience, "refusing") { (try? client()) == nil }
    }
}

/// Runs `pier listen` on a free port, or on a path, with more arguments while `body` runs.
func listening<R>(
    _ wire: Wire, _ arguments: [String] = [], launcher: [String] = [], input: Stream = .pipe, output: Stream = .pipe,
    environment: [String: String] = [:], _ body: (Listening) async throws -> R
) async throws -> R {
    let path = temporaryPath("sock")
    let place = wire == .tcp ? "127.0.0.1:0" : path
    return try await starting(
        launcher + [Place.pier, "listen", place] + arguments, input: input, output: output, environment: environment
    ) { program in
        var port: UInt16 = 0
        if wire == .tcp {
            port = try await listeningPort(of: program)
        } else {
            try await program.errors.line(with: "unix://\(path)")
        }
        return try await body(Listening(program: program, wire: wire, port: port, path: path))
    }
}

/// Runs `body` with a file of these bytes, and removes it.
func withFile<R>(_ bytes: [UInt8], _ body: (String) async throws -> R) async throws -> R {
    let path = temporaryPath("file")
    try makeFile(path, bytes)
    defer { unlink(path) }
    return try await body(path)
}
