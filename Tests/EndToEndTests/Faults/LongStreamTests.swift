import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("B24: a stream of more than 4 GiB", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct LongStreamTests {
    // Over 2^32 by little, where the tests are optimized; else over 2^31, which is long enough for a number of 32 bits to run
    // over. With something to see at these borders, in a file that takes no room on the disk.
    #if DEBUG
        private static let length = 1 << 31 + 12345
    #else
        private static let length = 1 << 32 + 12345
    #endif
    private static let marks = [0, 1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, length - 1].filter { $0 < length }

    @Test func eachDirectionIsWholeAndCountedRight() async throws {
        let file = temporaryPath("long")
        let descriptor = try valid(open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        defer {
            close(descriptor)
            unlink(file)
        }
        _ = try valid(ftruncate(descriptor, Self.length))
        for mark in Self.marks { #expect(pwrite(descriptor, "!", 1, mark) == 1) }
        try await sends(file)
        try await receives(descriptor)
    }

    private func sends(_ file: String) async throws {
        let host = try Host()
        try await running("connect", "127.0.0.1:\(host.port)", input: .file(file)) { client in
            let peer = try await host.accept()
            let found = try await onThread { try Self.marks(in: peer) }
            #expect(found.marks == Self.marks)
            #expect(found.length == Self.length)
            // The counts are told where something may be missing.
            try peer.resetNow()
            #expect(try await client.end() == 1)
            #expect(client.errors.text.contains("(0 bytes received, \(Self.length) sent)"), "\(client.errors.text)")
        }
    }

    private func receives(_ file: CInt) async throws {
        let host = try Host()
        try await running(
            "connect", "127.0.0.1:\(host.port)", input: .file("/dev/null"), output: .file("/dev/null")
        ) { client in
            let peer = try await host.accept()
            let sent = try await onThread {
                var offset: off_t = 0
                while offset < Self.length {
                    guard sendfile(peer.descriptor, file, &offset, 1 << 24) > 0 else { throw Errno(rawValue: errno) }
                }
                return offset
            }
            #expect(sent == Self.length)
            // What has arrived is received before a reset is.
            try await eventually(patience, "the arrival of all") { Self.unacknowledged(peer) == 0 }
            try peer.resetNow()
            #expect(try await client.end() == 1)
            #expect(client.errors.text.contains("(\(Self.length) bytes received, 0 sent)"), "\(client.errors.text)")
        }
    }

    /// Where in what a peer receives something stands that is not zero, and how long it is.
    private static func marks(in peer: Peer) throws -> (marks: [Int], length: Int) {
        let size = 1 << 20
        let zeros = [UInt8](repeating: 0, count: size)
        var buffer = zeros
        var (marks, length): ([Int], Int) = ([], 0)
        while true {
            let count = recv(peer.descriptor, &buffer, size, 0)
            guard count >= 0 else { throw Errno(rawValue: errno) }
            if count == 0 { return (marks, length) }
            if memcmp(buffer, zeros, count) != 0 {
                for index in 0..<count where buffer[index] != 0 { marks.append(length + index) }
            }
            length += count
        }
    }

    private static func unacknowledged(_ peer: Peer) -> CInt {
        var left: CInt = -1
        return ioctl(peer.descriptor, UInt(TIOCOUTQ), &left) == 0 ? left : -1
    }
}
