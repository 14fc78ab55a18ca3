import Loops
import SocketCore
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Runs `body` with a loop of its own, and closes it however `body` ends.
func withLoop<R>(_ name: String = "test", _ body: (EventLoop) async throws -> R) async throws -> R {
    let loop = try EventLoop(name: name)
    defer { loop.close() }
    return try await body(loop)
}

/// Starts a thread that nobody joins.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body)).toOpaque()
    let code = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, start)
    precondition(code == 0, "no thread for the test")
    pthread_detach(thread)
}

/// How many threads of this process have a name.
func threadCount(named name: String) -> Int {
    guard let directory = opendir("/proc/self/task") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
        let id = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        guard id.first != ".", let file = fopen("/proc/self/task/\(id)/comm", "r") else { continue }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 32)
        let length = fread(&line, 1, line.count, file)
        if String(decoding: line.prefix(length), as: UTF8.self) == name + "\n" { count += 1 }
    }
    return count
}

private let lastName = Atomic<Int>(0)

/// A thread's name that no other test has; threads keep 15 bytes of it.
func uniqueName() -> String {
    "t-\(lastName.wrappingAdd(1, ordering: .relaxed).newValue)"
}

/// A waitable end of a Unix socket, and the end that makes it ready.
struct WaitablePair: Sendable {
    let waitable: Waitable
    private let peer: Waitable

    init() throws(Errno) {
        let (a, b) = try System.socketPair(family: 1, kind: System.kindStream)
        waitable = Waitable(Descriptor(owning: a), shortReadsDrain: false)
        peer = Waitable(Descriptor(owning: b), shortReadsDrain: false)
    }

    /// Makes the waitable ready to receive.
    func write() throws(Errno) {
        _ = try peer.use { (descriptor) throws(Errno) in
            try Array("x".utf8).withUnsafeBytes { bytes in
                Result { () throws(Errno) in try System.send(descriptor, bytes) }
            }.get()
        }
    }

    /// Takes all that is there.
    func drain() throws(Errno) {
        _ = try waitable.use { (descriptor) throws(Errno) in
            var bytes = [UInt8](repeating: 0, count: 64)
            while case .done(let count) = try bytes.withUnsafeMutableBytes({ bytes in
                Result { () throws(Errno) in try System.receive(descriptor, into: bytes) }
            }).get(), count > 0 {}
        }
    }

    func close() {
        waitable.close()
        peer.close()
    }
}

extension Waitable {
    /// Waits once with the turn held, as a verb does.
    func waitOnce(_ direction: Direction = .receive) async throws -> Wake {
        guard tryTakeTurn(direction) == .mine else { throw SocketError(.receive, .misuse("the turn is not free")) }
        defer { giveTurn(direction) }
        try register()
        return await wait(for: direction)
    }

    /// The same, blocking the thread.
    func waitOnceBlocking(_ direction: Direction = .receive) throws -> Wake {
        guard tryTakeTurn(direction) == .mine else { throw SocketError(.receive, .misuse("the turn is not free")) }
        defer { giveTurn(direction) }
        return try waitBlocking(for: direction)
    }
}

extension EventLoop {
    /// Comes back when the loop has looked at its sockets, and done all that was handed to it before.
    func hasTurned() async {
        for _ in 0..<3 {
            await withCheckedContinuation { continuation in
                if !execute({ continuation.resume() }) { continuation.resume() }
            }
        }
    }
}

/// The cause of the `SocketError` that `body` throws, if it throws one.
func cause(_ body: () async throws -> Void) async -> SocketError.Cause? {
    do { try await body() } catch { return (error as? SocketError)?.cause }
    return nil
}
