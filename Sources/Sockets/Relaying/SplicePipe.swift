internal import SocketCore
internal import Synchronization
internal import SystemPackage

/// A pipe by way of which a transfer in bulk goes from socket to socket without being copied (`splice(2)`).
///
/// Empty ones are kept for the next transfer. There are never more than `most`: others are copied, which costs little more.
final class SplicePipe: Sendable {
    private let readEnd: CInt
    private let writeEnd: CInt
    /// How many bytes are in it. Belongs to the transfer that has the pipe.
    nonisolated(unsafe) private(set) var count = 0

    static let size = 512 << 10
    /// Few where descriptors are few: they are for clients.
    private static let most = max(1, min(64, System.descriptorLimit / 32))
    private static let mostKept = 8

    private struct Pool {
        var kept: [SplicePipe] = []
        /// How many there are, kept and in use.
        var made = 0
    }
    private static let pool = Lock(Pool())

    private init?() {
        guard let ends = try? System.pipe(size: Self.size) else { return nil }
        (readEnd, writeEnd) = ends
    }

    deinit {
        _ = Descriptor(owning: readEnd)
        _ = Descriptor(owning: writeEnd)
    }

    /// How many descriptors pipes take at the most.
    static var mostDescriptors: Int { 2 * most }

    /// An empty pipe; nil when there are too many, or the process has no descriptors left.
    static func take() -> SplicePipe? {
        let (kept, mayMake) = pool.withLock { pool -> (SplicePipe?, Bool) in
            if let pipe = pool.kept.popLast() { return (pipe, false) }
            if pool.made >= most { return (nil, false) }
            pool.made += 1
            return (nil, true)
        }
        if let kept { return kept }
        guard mayMake else { return nil }
        if let pipe = SplicePipe() { return pipe }
        pool.withLock { $0.made -= 1 }
        return nil
    }

    /// Gives the pipe back. What is still in it is nobody's any more, and goes with it.
    func give() {
        Self.pool.withLock { pool in
            if count == 0, pool.kept.count < Self.mostKept { pool.kept.append(self) } else { pool.made -= 1 }
        }
    }

    /// Fills the empty pipe from a socket: with how many bytes, 0 at the end of the stream.
    func fill(from descriptor: CInt) throws(Errno) -> Attempt<Int> {
        let result = try System.splice(descriptor, intoPipe: writeEnd, upTo: Self.size)
        if case .done(let moved) = result { count = moved }
        return result
    }

    /// Empties the pipe into a socket as far as there is room: by how many bytes.
    func drain(into descriptor: CInt) throws(Errno) -> Attempt<Int> {
        let result = try System.splice(pipe: readEnd, into: descriptor, upTo: count)
        if case .done(let moved) = result { count -= moved }
        return result
    }

    /// Empties the pipe into memory.
    func empty() throws(Errno) -> [UInt8] {
        var all: [UInt8] = []
        try withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { (buffer) throws(Errno) in
            while count > 0, case .done(let moved) = try System.read(readEnd, into: buffer), moved > 0 {
                all.append(contentsOf: buffer[..<moved])
                count -= moved
            }
        }
        return all
    }
}
