import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A `pier serve` that is there for datagrams while a test runs.
struct DatagramServer: Sendable {
    let program: Program
    /// The endpoints that it told, in order.
    let places: [String]

    func port(_ index: Int = 0) -> UInt16 { UInt16(places[index].split(separator: ":").last ?? "") ?? 0 }

    /// The address that it has at one of the endpoints; on every address this machine's first.
    func host(_ index: Int = 0) -> String {
        if places[index].contains("[") { return "::1" }
        let told = places[index].split(separator: "/").last?.prefix { $0 != ":" } ?? ""
        return told.isEmpty || told == "0.0.0.0" ? "127.0.0.1" : String(told)
    }

    /// Who sends to one of the endpoints.
    func sender(to index: Int = 0) throws -> DatagramPeer {
        let place = places[index]
        if place.hasPrefix("unix-dgram://") {
            return try DatagramPeer(path: String(place.dropFirst("unix-dgram://".count)))
        }
        return try DatagramPeer(port: port(index), host: host(index))
    }

    /// Ends it with a signal; then it has answered all that it will.
    func end() async throws {
        program.send(SIGTERM)
        let status = try await program.end()
        guard status == 0 else { throw Unexpected(text: "exit code \(status): \(program.errors.text)") }
    }
}

/// Runs `pier serve SERVICE` for some endpoints, with more arguments, while `body` runs.
func servingDatagrams<R>(
    _ service: String = "echo", at endpoints: [String] = ["udp://127.0.0.1:0"], _ arguments: String...,
    launcher: [String] = [], environment: [String: String] = [:], _ body: (DatagramServer) async throws -> R
) async throws -> R {
    // A server that is killed has no time to remove its path.
    defer { for place in endpoints where place.hasPrefix("unix-dgram:///") { unlink(String(place.dropFirst(13))) } }
    return try await starting(
        launcher + [Place.pier, "serve", service] + endpoints + arguments, input: .file("/dev/null"),
        environment: environment
    ) { program in
        try await eventually(patience, "listening; so far: \(program.errors.text)") {
            places(program).count == endpoints.count || program.ending != nil
        }
        let told = places(program)
        guard told.count == endpoints.count else { throw Unexpected(text: program.errors.text) }
        return try await body(DatagramServer(program: program, places: told))
    }
}

/// Runs `pier connect` with datagrams to its end, and again with four times the patience where it did not get all answers
/// in time: a busy machine may be slow, and a lost answer looks the same.
func connectingPatiently(
    _ arguments: String..., linger: Duration, saying text: String, launcher: [String] = [],
    environment: [String: String] = [:], isAnswered: (Outcome) -> Bool
) async throws -> Outcome {
    var linger = linger
    while true {
        let words = launcher + [Place.pier, "connect"] + arguments + ["--linger", linger.argument]
        let ended = try await outcome(of: words, saying: text, environment: environment)
        if isAnswered(ended) || linger > .seconds(20) { return ended }
        linger *= 4
    }
}

/// The endpoints that a server has told so far, in prose or as events.
private func places(_ program: Program) -> [String] {
    program.errors.lines.filter { $0.hasPrefix("listening ") || $0.contains("\"event\":\"listening\"") }
        .compactMap { $0.firstMatch(of: /[a-z-]+:\/\/[^" ]+/).map { String($0.0) } }
}

/// The ways to wait.
let models = ["tasks", "threads", "blocking"]

/// An endpoint for datagrams at a Unix path of its own.
func unixDatagramEndpoint() -> String { "unix-dgram://" + temporaryPath("sock") }
