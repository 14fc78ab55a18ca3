import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A `pier relay` with datagrams on its near side, while a test runs.
struct DatagramRelaying: Sendable {
    let program: Program
    /// Where it listens, as it told.
    let place: String
    /// How many sockets it has open then, those among them that it was started with.
    let sockets: Int

    var port: UInt16 { UInt16(place.split(separator: ":").last ?? "") ?? 0 }

    func sender() throws -> DatagramPeer {
        if place.hasPrefix("unix-dgram://") { return try DatagramPeer(path: String(place.dropFirst(13))) }
        return try DatagramPeer(port: port, host: place.contains("[") ? "::1" : "127.0.0.1")
    }

    /// Waits until nothing but what it listens on is open; its other sockets are its clients' and their targets'.
    func hasOnlyItsOwnSocket() async throws {
        let (pid, sockets) = (program.pid, sockets)
        try await eventually(patience, "closing all but its own socket") { socketCount(of: pid) == sockets }
    }
}

func relaying<R>(
    _ front: String, _ behind: String, _ arguments: String..., launcher: [String] = [],
    environment: [String: String] = [:],
    _ body: (DatagramRelaying) async throws -> R
) async throws -> R {
    defer { if front.hasPrefix("unix-dgram://") { unlink(String(front.dropFirst(13))) } }
    return try await starting(
        launcher + [Place.pier, "relay", front, behind] + arguments, input: .file("/dev/null"), environment: environment
    ) { program in
        let line = try await program.errors.line(with: "listening")
        guard let place = line.firstMatch(of: /[a-z-]+:\/\/[^" ]+/) else { throw Unexpected(text: line) }
        return try await body(
            DatagramRelaying(program: program, place: String(place.0), sockets: socketCount(of: program.pid)))
    }
}

/// Who is behind a relay: bound to a kind of place.
func datagramTarget(_ kind: String) throws -> (peer: DatagramPeer, endpoint: String) {
    switch kind {
    case "unix-dgram":
        let path = temporaryPath("target")
        return (try DatagramPeer(boundToPath: path), "unix-dgram://\(path)")
    case "udp6":
        let peer = try DatagramPeer(boundTo: "::1")
        return (peer, "udp://[::1]:\(peer.port)")
    default:
        let peer = try DatagramPeer(boundTo: "127.0.0.1")
        return (peer, "udp://127.0.0.1:\(peer.port)")
    }
}

func datagramFront(_ kind: String) -> String {
    switch kind {
    case "unix-dgram": unixDatagramEndpoint()
    case "udp6": "udp://[::1]:0"
    default: "udp://127.0.0.1:0"
    }
}
