import SocketCore
import SystemPackage
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The descriptors of a program that is about to start.
struct Plumbing {
    private var streams: [(number: CInt, descriptor: CInt?)] = []
    private var theirs: [CInt] = []

    /// Joins a standard stream; gives the test's end of a pipe.
    mutating func join(_ number: CInt, _ stream: Stream) throws -> CInt? {
        switch stream {
        case .closed:
            streams.append((number, nil))
        case .descriptor(let descriptor):
            streams.append((number, descriptor))
        case .file(let path):
            let flags = number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC
            let descriptor = try valid(open(path, flags | O_CLOEXEC, 0o600))
            theirs.append(descriptor)
            streams.append((number, descriptor))
        case .pipe, .unread:
            var ends: [CInt] = [-1, -1]
            try uninherited {
                _ = try valid(pipe(&ends))
                return ends
            }
            let (their, our) = number == 0 ? (ends[0], ends[1]) : (ends[1], ends[0])
            theirs.append(their)
            streams.append((number, their))
            return our
        }
        return nil
    }

    func closeTheirs() {
        for descriptor in theirs { close(descriptor) }
    }

    func spawn(_ words: [String], environment: [String: String]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in streams {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, number)
            } else {
                posix_spawn_file_actions_addclose(&actions, number)
            }
        }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // A shell starts programs with SIGPIPE deadly; here it is ignored, which must not be inherited. Nor must what this
        // process was started with, as in the background of a script.
        var deadly = sigset_t()
        sigemptyset(&deadly)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&deadly, signal) }
        posix_spawnattr_setsigdefault(&attributes, &deadly)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

        var arguments = words.map { strdup($0) } + [nil]
        var variables = Place.environment.merging(environment) { $1 }.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let code = inheritance.withLock { _ in
            posix_spawnp(&pid, words[0], &actions, &attributes, &arguments, &variables)
        }
        guard code == 0 else { throw Errno(rawValue: code) }
        return pid
    }
}

/// Held while a program starts, and while a descriptor exists that it would inherit: one made by a call that can't mark it.
private let inheritance = Lock(())

/// Makes descriptors that no program inherits.
func uninherited(_ make: () throws -> [CInt]) throws {
    try inheritance.withLock { _ in
        for descriptor in try make() { _ = try valid(fcntl(descriptor, F_SETFD, FD_CLOEXEC)) }
    }
}

/// A system call's result, or its error.
func valid(_ result: CInt) throws -> CInt {
    guard result >= 0 else { throw Errno(rawValue: errno) }
    return result
}

/// Where things are.
enum Place {
    /// The command, beside the running test bundle: the same build.
    static let pier: String = {
        _ = isReady
        let own = CommandLine.arguments[0]
        let beside =
            own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/pier"
        if access(beside, X_OK) == 0 { return beside }
        return (own.hasPrefix("/") ? "" : "./") + ".build/debug/pier"
    }()

    /// The environment without a locale, which would choose the language, and without the backtracer, which is slow.
    static let environment: [String: String] = {
        var all: [String: String] = [:]
        var next = environ
        while let variable = next.pointee {
            let text = String(cString: variable)
            if let sign = text.firstIndex(of: "=") {
                all[String(text[..<sign])] = String(text[text.index(after: sign)...])
            }
            next += 1
        }
        for name in all.keys where name.hasPrefix("LC_") || name == "LANG" || name == "LANGUAGE" { all[name] = nil }
        all["SWIFT_BACKTRACE"] = "enable=no"
        all["PYTHONUNBUFFERED"] = "1"
        all["PYTHONUTF8"] = "1"
        return all
    }()

    /// What the test's own process needs: to survive a program that has gone, and descriptors for a thousand clients.
    private static let isReady: Bool = {
        signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }()

    /// Whether a tool is installed.
    static func has(_ tool: String) -> Bool {
        (environment["PATH"] ?? "/usr/bin").split(separator: ":").contains { access("\($0)/\(tool)", X_OK) == 0 }
    }
}
