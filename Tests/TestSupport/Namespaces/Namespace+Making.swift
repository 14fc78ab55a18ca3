internal import SocketCore
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Two namespaces and the cable between them (veth(4)).
///
/// The client's end is `v1` with 10.77.0.1, fd77::1 and fe80::1; the server's is `v2` with 10.77.0.2, fd77::2 and fe80::2.
package struct Network: Sendable {
    package let client: Namespace
    package let server: Namespace
}

/// Runs `body` with a namespace that is removed however `body` ends.
package func inNamespace<R>(_ body: (Namespace) async throws -> R) async throws -> R {
    let slot = try await Slots.take()
    defer { Slots.give(slot) }
    let namespace = try Namespace.make(Slots.name(slot, "a"))
    defer { namespace.remove() }
    return try await body(namespace)
}

/// Runs `body` with two namespaces and a cable between them, which are removed however `body` ends.
package func inNetwork<R>(_ body: (Network) async throws -> R) async throws -> R {
    try await inNamespace { client in
        let server = try Namespace.make(String(client.name.dropLast()) + "b")
        defer { server.remove() }
        try client.ip("link", "add", "v1", "type", "veth", "peer", "name", "v2", "netns", server.name)
        for (namespace, device, number) in [(client, "v1", 1), (server, "v2", 2)] {
            try namespace.ip("link", "set", device, "addrgenmode", "none")
            try namespace.ip("addr", "add", "10.77.0.\(number)/24", "dev", device)
            // Without waiting to see whether another has the address (RFC 4862, 5.4).
            for address in ["fd77::\(number)/64", "fe80::\(number)/64"] {
                try namespace.ip("addr", "add", address, "dev", device, "nodad")
            }
        }
        for (namespace, device) in [(client, "v1"), (server, "v2")] { try namespace.ip("link", "set", device, "up") }
        // The kernel takes a moment to start an interface, and until then loses what is sent through it.
        for (namespace, device) in [(client, "v1"), (server, "v2")] {
            try await eventually(patience, "\(device)'s start") {
                (try? namespace.ip("-o", "link", "show", device))?.contains("state UP") ?? false
            }
        }
        return try await body(Network(client: client, server: server))
    }
}

extension Namespace {
    /// Why no test can have a namespace here, in a sentence; nil when one can. For `.enabled(if:)` of a suite or a test.
    package static let missing: String? = {
        guard geteuid() == 0 else { return "network namespaces need root" }
        for (tool, package) in [(Tool.ip, "iproute2"), (.nft, "nftables")] where tool.path == tool.rawValue {
            return "\(tool.rawValue) is not installed; it comes with \(package)"
        }
        removeLeftovers()
        let name = Slots.name(Slots.most, "a")
        do {
            let probe = try Namespace.make(name)
            defer { probe.remove() }
            try probe.outgoing("ip daddr 10.77.0.9 reject with icmp type host-unreachable")
        } catch {
            return "network namespaces are not allowed here: \(error)"
        }
        return nil
    }()

    package static var isAvailable: Bool { missing == nil }
    /// The same as text, for a trait's comment.
    package static var whyNot: String { missing ?? "" }

    /// Removes what a process left that was killed: a name holds the number of the process that made it.
    private static func removeLeftovers() {
        guard let directory = opendir("/run/netns") else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            let parts = name.split(separator: "-")
            guard parts.count == 4, parts[0] == "pier", parts[1] == "test", let process = pid_t(parts[2]) else {
                continue
            }
            if kill(process, 0) != 0, errno == ESRCH { Namespace(name: name).remove() }
        }
    }
}

/// So many tests of a process have namespaces at a time; the others wait for their turn.
private enum Slots {
    static let most = 4
    private static let taken = Lock<Set<Int>>([])

    static func take() async throws -> Int {
        let mine = Lock<Int?>(nil)
        try await eventually(patience, "a free network namespace") {
            let free = taken.withLock { taken in
                let free = (0..<most).first { !taken.contains($0) }
                if let free { taken.insert(free) }
                return free
            }
            mine.withLock { $0 = free }
            return free != nil
        }
        return mine.withLock { $0 } ?? 0
    }

    static func give(_ slot: Int) { _ = taken.withLock { $0.remove(slot) } }

    static func name(_ slot: Int, _ end: String) -> String { "pier-test-\(getpid())-\(slot)\(end)" }
}
