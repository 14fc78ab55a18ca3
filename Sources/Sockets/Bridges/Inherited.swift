internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The descriptors that this process was started with: those that the service manager has passed on (`sd_listen_fds(3)`),
/// and those that were taken over by their numbers.
enum Inherited {
    private struct State {
        /// By their names; nil before anybody has asked.
        var passed: [(name: String, descriptor: CInt)]?
        /// Once closed, a number may be any other socket's: nobody may take it for what it was.
        var taken: Set<CInt> = []
    }
    private static let state = Lock(State())

    /// Calls `body` to take a descriptor over. Throws when it was taken before.
    static func taking<R>(
        _ descriptor: CInt, _ body: () throws(SocketError) -> R
    ) throws(SocketError) -> R {
        let isFirst = state.withLock { $0.taken.insert(descriptor).inserted }
        guard isFirst else {
            throw SocketError(
                .adopt, .misuse("it was taken over before; a descriptor can be used once"), target: "fd:\(descriptor)")
        }
        do throws(SocketError) {
            return try body()
        } catch {
            _ = state.withLock { $0.taken.remove(descriptor) }
            throw error
        }
    }

    /// The sockets of a name, or all. Throws when there are none.
    static func sockets(named name: String?, for endpoint: Endpoint) throws(SocketError) -> [CInt] {
        let passed = state.withLock { state in
            let passed = state.passed ?? readEnvironment()
            state.passed = passed
            return passed
        }
        guard !passed.isEmpty else {
            throw endpoint.refused(
                .adopt, "the service manager has passed on no sockets to this process (LISTEN_FDS, LISTEN_PID)")
        }
        let found = passed.filter { name == nil || $0.name == name }.map(\.descriptor)
        if found.isEmpty {
            let names = Set(passed.map { $0.name.escapedForTerminal() }).sorted().joined(separator: ", ")
            throw endpoint.refused(.adopt, "no socket of this name was passed on; there are \(names)")
        }
        return found
    }

    /// What the environment says. The descriptors are made close-on-exec, so that no other process takes them.
    ///
    /// The variables stay: other threads may read the environment at the same time, `getaddrinfo(3)` for one, and
    /// `unsetenv(3)` moves what they read. LISTEN_PID names this process alone, and the programs that Pier runs do not get
    /// the variables (`csockets_spawn`).
    private static func readEnvironment() -> [(name: String, descriptor: CInt)] {
        let names = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
        let values = names.map { name in getenv(name).map { String(cString: $0) } }
        return passed(process: values[0], count: values[1], names: values[2], to: getpid()).filter {
            (try? System.makeCloseOnExec($0.descriptor)) != nil
        }
    }

    /// The descriptors that these values pass on to a process: they are counted from 3. One without a name is `unknown`.
    static func passed(
        process: String?, count: String?, names: String?, to own: CInt
    ) -> [(name: String, descriptor: CInt)] {
        guard let process, strictNumber(process.utf8) == UInt64(own), let count, let number = strictNumber(count.utf8),
            number > 0, number <= most
        else { return [] }
        let written = (names ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        return (0..<Int(number)).map { index in
            let name = index < written.count ? written[index] : ""
            return (name.isEmpty ? "unknown" : name, CInt(index) + first)
        }
    }

    private static let first: CInt = 3
    private static let most = 1 << 16
}
