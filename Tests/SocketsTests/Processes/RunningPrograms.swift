import Sockets
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Runs a command as an endpoint has it.
func run(_ command: String, for client: Connection? = nil, by face: Face = .task) async throws -> ChildProcess {
    guard case .program(let command) = try Endpoint("exec:\(command)").place else {
        throw NeverHappened(what: "a command")
    }
    switch face {
    case .task: return try ChildProcess(running: command, for: client)
    case .thread: return try await onThread { try ChildProcess(running: command, for: client) }
    }
}

extension ChildProcess {
    /// `wait()` by a face.
    func wait(by face: Face) async throws -> ExitStatus {
        switch face {
        case .task: try await wait()
        case .thread: try await onThread { try self.wait() }
        }
    }

    /// `terminate(after:)` by a face.
    func terminate(after grace: Duration = .seconds(2), by face: Face) async throws -> ExitStatus {
        switch face {
        case .task: await terminate(after: grace)
        case .thread: try await onThread { self.terminate(after: grace) }
        }
    }

    /// All that it says until its stream ends.
    func said(by face: Face = .task) async throws -> String {
        String(decoding: try await connection.receiveAll(by: face), as: UTF8.self)
    }
}

/// Whether a process runs, or is a zombie.
func exists(_ process: Int32) -> Bool { kill(process, 0) == 0 }

/// Whether anybody is left in a process group who is no zombie. A process whose parent is gone is reaped by whoever is the
/// system's first, in its own time.
func isGroupAlive(_ group: Int32) -> Bool {
    guard let folder = opendir("/proc") else { return false }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard let process = Int32(name), getpgid(process) == group, let file = fopen("/proc/\(name)/stat", "r") else {
            continue
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        guard fgets(&line, 512, file) != nil else { continue }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let state = text.split(separator: ")").last?.split(separator: " ").first else { continue }
        if state != "Z", state != "X" { return true }
    }
    return false
}
