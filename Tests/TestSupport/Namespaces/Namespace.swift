package import Sockets
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Faults of a network are made in network namespaces (namespaces(7)): each has interfaces, addresses, ports and packet
// rules of its own, so nothing that a test does there touches the machine's network, or another test's.

/// A network of a test's own, with nothing in it but a loopback that is up.
///
/// There are two ways in. A program is started with `launcher` before its words. The library, which runs in this process,
/// is run with `run`: on a thread that has entered (`setns(2)`), or on an event loop whose thread has.
package struct Namespace: Sendable {
    /// What `ip netns` calls it; the process's number is in it.
    package let name: String

    /// The words to put before a program's, so that it runs here. It sees `hosts` as `/etc/hosts`.
    package var launcher: [String] { [Tool.ip.path, "netns", "exec", name] }

    /// Runs `ip` here: `try client.ip("link", "set", "v1", "down")`.
    @discardableResult
    package func ip(_ words: String...) throws -> String { try Tool.ip.run(["-n", name] + words) }

    /// An interface's number, by which multicast knows it.
    package func index(of interface: String) throws -> UInt32 {
        let told = try ip("-o", "link", "show", interface)
        // A line before it may say that the other end's namespace has no number here.
        let numbers = told.split(separator: "\n").compactMap { line in UInt32(line.prefix { $0 != ":" }) }
        guard let index = numbers.first else {
            throw ToolFailed(words: ["ip", interface], said: told)
        }
        return index
    }

    /// Adds packet rules, as `nft -f` reads them, a statement on each line.
    package func rules(_ text: String) throws {
        try Tool.ip.run(["netns", "exec", name, Tool.nft.path, "-f", "-"], input: text)
    }

    /// Has a rule for what leaves this namespace: `try client.refuse("ip daddr 10.77.0.9 drop")`.
    package func outgoing(_ rule: String) throws { try filter("output", rule) }

    /// Has a rule for what comes in: `try server.incoming("tcp dport 8520 reject with icmp type host-unreachable")`.
    package func incoming(_ rule: String) throws { try filter("input", rule) }

    private func filter(_ hook: String, _ rule: String) throws {
        try rules(
            """
            add table inet test
            add chain inet test \(hook) { type filter hook \(hook) priority 0; }
            add rule inet test \(hook) \(rule)

            """)
    }

    /// Sets what `sysctl(8)` sets: `try client.set("net.ipv4.ip_local_port_range", "32768 32777")`.
    package func set(_ key: String, _ value: String) throws {
        let path = "/proc/sys/" + key.split(separator: ".").joined(separator: "/")
        try Tool.ip.run(["netns", "exec", name, "/bin/sh", "-c", "cat > \(path)"], input: value + "\n")
    }

    /// Gives the programs that run here this `/etc/hosts`. The library in this process does not see it.
    package func hosts(_ text: String) throws {
        // Mode 0755: ip(8) and whoever looks up a name must get through.
        for path in [Self.etc, "\(Self.etc)/\(name)"] where mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw Errno(rawValue: errno)
        }
        try TextFile.write(text, to: "\(Self.etc)/\(name)/hosts")
    }

    fileprivate static let etc = "/etc/netns"

    // MARK: The library here

    /// Runs `body` here by a face: on a thread of its own, or in a task on an event loop of its own. What it starts, it
    /// starts here; a name that it looks up, it may look up elsewhere, on a thread that another test has started.
    package func run<T: Sendable>(
        by face: Face, thread: @escaping @Sendable () throws -> T, task: @Sendable @concurrent () async throws -> T
    ) async throws -> T {
        switch face {
        case .thread: try await onThread(thread)
        case .task: try await onLoop(task)
        }
    }

    /// Connects from here by a face. In a task it is on a loop that has ended then: what waits later, waits as a thread.
    package func connect(
        to endpoint: String, from source: SocketAddress? = nil, timeout: Duration? = nil, by face: Face
    ) async throws -> Connection {
        try await run(by: face) {
            try Connection(to: endpoint, from: source, timeout: timeout)
        } task: {
            try await Connection(to: endpoint, from: source, timeout: timeout)
        }
    }

    /// Connects from here to the first of several addresses that answers, by a face.
    package func connect(
        racing addresses: [SocketAddress], timeout: Duration? = nil, trace: Trace? = nil, by face: Face
    ) async throws -> Connection {
        guard let list = AddressList(interleaving: addresses) else { throw Errno.invalidArgument }
        let deadline = timeout.map { Deadline.after($0) } ?? .never
        return try await run(by: face) {
            try Connection(racing: list, until: deadline, trace: trace)
        } task: {
            try await Connection(racing: list, until: deadline, trace: trace)
        }
    }

    /// Runs `body` here, on a thread that ends with it.
    package func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await TestSupport.onThread {
            try enter()
            return try body()
        }
    }

    /// Runs `body` here, in the calling task, on a loop that ends with it: its sockets are made on the loop's thread, and a
    /// thread is in the namespace of the one that started it.
    package func onLoop<T: Sendable>(_ body: @Sendable @concurrent () async throws -> T) async throws -> T {
        let group = try await onThread { try EventLoopGroup(loops: 1) }
        return try await Self.run(on: group, body)
    }

    /// Concurrent, and so back on another executor when the loop's thread is joined.
    @concurrent
    private static func run<T: Sendable>(
        on group: EventLoopGroup, _ body: @Sendable @concurrent () async throws -> T
    ) async throws -> T {
        defer { group.close() }
        return try await withTaskExecutorPreference(group.loops[0]) { try await body() }
    }

    /// Moves the calling thread here, for good.
    private func enter() throws {
        let descriptor = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        // Not declared where _GNU_SOURCE is not.
        typealias Function = @convention(c) (CInt, CInt) -> CInt
        guard let symbol = dlsym(nil, "setns") else { throw Errno.notSupported }
        let network: CInt = 0x4000_0000  // CLONE_NEWNET
        guard unsafeBitCast(symbol, to: Function.self)(descriptor, network) == 0 else { throw Errno(rawValue: errno) }
    }

    // MARK: Making and removing

    static func make(_ name: String) throws -> Namespace {
        try Tool.ip.run(["netns", "add", name])
        do {
            try Tool.ip.run(["-n", name, "link", "set", "lo", "up"])
        } catch {
            Namespace(name: name).remove()
            throw error
        }
        return Namespace(name: name)
    }

    /// Removes it and what belongs to it; its network goes with the last program and socket that is in it.
    func remove() {
        _ = try? Tool.ip.run(["netns", "del", name])
        unlink("\(Self.etc)/\(name)/hosts")
        rmdir("\(Self.etc)/\(name)")
        rmdir(Self.etc)  // fails, as it should, while another has its own
    }
}
