import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The processes whose parent this one is, ended or not.
func children(of pid: pid_t) -> [pid_t] {
    guard let folder = opendir("/proc/\(pid)/task") else { return [] }
    defer { closedir(folder) }
    var all: [pid_t] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        all += contents(of: "/proc/\(pid)/task/\(name)/children").split(separator: " ").compactMap { pid_t($0) }
    }
    return all
}

/// Whether a process is there and has not ended.
func isRunning(_ pid: pid_t) -> Bool {
    let state = contents(of: "/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ").first
    return state != nil && state != "Z" && state != "X"
}

/// The state of a process, as proc(5) names it: "S" for one that waits.
func processState(of pid: pid_t) -> String {
    let fields = (contents(of: "/proc/\(pid)/stat").split(separator: ")").last ?? "").split(separator: " ")
    return fields.first.map(String.init) ?? ""
}
