internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A program that makes namespaces, run to its end.
enum Tool: String {
    case ip, nft

    /// Where it is; its bare name when it is nowhere. Root's own directories are looked at too.
    var path: String {
        let directories = (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":").map(String.init)
        let paths = (directories + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]).map { "\($0)/\(rawValue)" }
        return paths.first { access($0, X_OK) == 0 } ?? rawValue
    }

    /// Runs it and gives what it said; throws that when it fails.
    ///
    /// Through files, not pipes: a pipe's end could be inherited by a program that another test starts at this moment.
    @discardableResult
    func run(_ words: [String], input text: String = "") throws -> String {
        let (input, said) = (temporaryPath("in"), temporaryPath("out"))
        defer {
            unlink(input)
            unlink(said)
        }
        try TextFile.write(text, to: input)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, said, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var arguments = ([path] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, nil, &arguments, environ)
        guard code == 0 else { throw Errno(rawValue: code) }
        var status: CInt = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let text = try TextFile.read(said)
        guard status == 0 else { throw ToolFailed(words: [rawValue] + words, said: text) }
        return text
    }
}

/// What a tool said when it failed.
struct ToolFailed: Error, CustomStringConvertible {
    let words: [String]
    let said: String
    var description: String {
        "\(words.joined(separator: " ")): \(said.split(separator: "\n").joined(separator: "; "))"
    }
}

/// A small file of text.
enum TextFile {
    static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        var left = Array(text.utf8)[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw Errno(rawValue: errno) }
            left = left.dropFirst(count)
        }
    }

    static func read(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
