import SocketCore
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// All that a program writes to a pipe or a terminal, gathered by a thread of its own.
final class Gathering: Sendable {
    private let state: Lock<(bytes: [UInt8], isAtEnd: Bool)>

    /// Reads the descriptor to its end and closes it; with none there is nothing to gather.
    init(_ descriptor: CInt?) {
        state = Lock(([], descriptor == nil))
        guard let descriptor else { return }
        var thread = pthread_t()
        let job = Unmanaged.passRetained(Job(self, descriptor))
        pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, job.toOpaque())
        pthread_detach(thread)
    }

    private final class Job {
        let gathering: Gathering
        let descriptor: CInt
        init(_ gathering: Gathering, _ descriptor: CInt) {
            self.gathering = gathering
            self.descriptor = descriptor
        }
        func run() {
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                // A terminal whose other side is closed gives EIO.
                guard count > 0 else { break }
                gathering.state.withLock { $0.bytes += buffer[..<count] }
            }
            close(descriptor)
            gathering.state.withLock { $0.isAtEnd = true }
        }
    }

    var bytes: [UInt8] { state.withLock { $0.bytes } }
    var isAtEnd: Bool { state.withLock { $0.isAtEnd } }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// The lines, without one that is not ended yet.
    var lines: [String] { text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }

    /// Waits for a line that holds a text, and gives it.
    @discardableResult
    func line(with part: String, within limit: Duration = patience) async throws -> String {
        try await eventually(limit, "a line with \"\(part)\"") { self.lines.contains { $0.contains(part) } }
        return lines.first { $0.contains(part) } ?? ""
    }

    /// Waits until all that came is exactly this text, or begins with it.
    func begins(with text: String, within limit: Duration = patience) async throws {
        try await eventually(limit, "\"\(text)\"") { self.bytes.count >= text.utf8.count }
        guard self.text.hasPrefix(text) else { throw Unexpected(text: self.text) }
    }
}

/// Something else came than what was waited for.
struct Unexpected: Error, CustomStringConvertible {
    let text: String
    var description: String { "came instead: \(text.debugDescription)" }
}
