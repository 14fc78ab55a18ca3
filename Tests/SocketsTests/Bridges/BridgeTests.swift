import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Files, pipes and devices joined to connections.
@Suite(.inTurn) struct BridgeTests {
    @Test(arguments: Face.allCases)
    func aFileIsReceivedToItsEnd(_ face: Face) async throws {
        try await trial { _ in
            let bytes = pattern(300_000)
            let path = try makeFile(bytes)
            defer { unlink(path) }
            let bridge = try openBridge(path, .read)
            #expect(try await bridge.connection.receiveAll(by: face) == bytes)
            try await bridge.finish(by: face)
            // And nothing can be sent to it.
            let other = try openBridge(path, .read)
            #expect(try await cause { try await other.connection.send([1], by: face) } == .system(.brokenPipe))
            try await other.finish(by: face)
            #expect(try contents(of: path) == bytes)
        }
    }

    @Test(arguments: Face.allCases)
    func whatIsSentIsWrittenBeforeTheEndIsReceived(_ face: Face) async throws {
        try await trial { _ in
            let path = try makeFile(Array("before\n".utf8))
            defer { unlink(path) }
            let bytes = pattern(300_000)
            let appending = try openBridge(path, .append)
            try await appending.connection.send(bytes, by: face)
            try appending.connection.finishSending()
            #expect(try await appending.connection.receive(upTo: 9, by: face) == nil)
            #expect(try contents(of: path) == Array("before\n".utf8) + bytes)
            try await appending.finish(by: face)
            let writing = try openBridge(path, .write)
            try await writing.connection.send([1, 2], by: face)
            // A close at once loses nothing that was sent.
            try await writing.finish(by: face)
            #expect(try contents(of: path) == [1, 2])
        }
    }

    @Test func severalAppendToOneFile() async throws {
        try await trial { _ in
            let path = temporaryPath("log")
            defer { unlink(path) }
            try await withThrowingTaskGroup { group in
                for index in 0..<10 {
                    group.addTask {
                        let bridge = try openBridge(path, .append)
                        try await bridge.connection.send("line \(index)\n")
                        try await bridge.finish()
                    }
                }
                try await group.waitForAll()
            }
            let lines = String(decoding: try contents(of: path), as: UTF8.self).split(separator: "\n")
            #expect(Set(lines) == Set((0..<10).map { "line \($0)" }) && lines.count == 10)
        }
    }

    @Test(arguments: Face.allCases)
    func aPipesEndsArePassedOn(_ face: Face) async throws {
        try await trial { _ in
            let (read, write) = try makePipe()
            let writeEnd = OpenFile(write)
            let readEnd = OpenFile(read)
            let source = try Bridge(adopting: read)
            let sink = try Bridge(adopting: write)
            #expect(fcntl(write, F_GETFD) & FD_CLOEXEC != 0)
            // The pipe is shared with others, who would see it.
            #expect(fcntl(read, F_GETFL) & O_NONBLOCK == 0 && fcntl(write, F_GETFL) & O_NONBLOCK == 0)
            let bytes = pattern(300_000)
            async let send: Void = {
                try await sink.connection.send(bytes, by: face)
                try sink.connection.finishSending()
            }()
            #expect(try await source.connection.receiveAll(by: face) == bytes)
            try await send
            try await source.finish(by: face)
            try await sink.finish(by: face)
            #expect(!readEnd.isOpen && !writeEnd.isOpen)
        }
    }

    @Test func aDeviceIsJoinedInBothDirections() async throws {
        try await trial { _ in
            let null = open("/dev/null", O_RDWR)
            let bridge = try Bridge(adopting: null)
            #expect(try await bridge.connection.receive(upTo: 9) == nil)
            try await bridge.connection.send(pattern(100_000))
            try bridge.connection.finishSending()
            try await bridge.finish()
        }
    }

    @Test func aTerminalIsJoinedInBothDirections() async throws {
        try await trial { _ in
            let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            defer { close(master) }
            var (number, isLocked): (CInt, CInt) = (-1, 0)
            // TIOCSPTLCK and TIOCGPTN
            #expect(ioctl(master, 0x4004_5431, &isLocked) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
            let bridge = try Bridge(adopting: open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC))
            #expect(write(master, "typed\n", 6) == 6)
            #expect(try await bridge.connection.receive(upTo: 99) == Array("typed\n".utf8))
            try await bridge.connection.send("shown")
            let shown = try await onThread {
                var text: [UInt8] = []
                // What was typed is echoed before.
                while !text.ends(with: "shown".utf8) {
                    var buffer = [UInt8](repeating: 0, count: 99)
                    let count = read(master, &buffer, 99)
                    guard count > 0 else { break }
                    text += buffer.prefix(count)
                }
                return text
            }
            #expect(shown == Array("typed\r\nshown".utf8))
            try await bridge.finish()
        }
    }
}

extension Collection where Element: Equatable {
    fileprivate func ends(with other: some Collection<Element>) -> Bool {
        count >= other.count && dropFirst(count - other.count).elementsEqual(other)
    }
}

// MARK: - For these tests

extension Bridge {
    /// `finish(within:)` by a face.
    func finish(within grace: Duration = patience, by face: Face) async throws {
        switch face {
        case .task: try await finish(within: grace)
        case .thread: try await onThread { try self.finish(within: grace) }
        }
    }
}

func openBridge(_ path: String, _ mode: FileAccess) throws -> Bridge {
    try Bridge(opening: #require(Endpoint.Path(path)), for: mode)
}

func makePipe() throws -> (read: CInt, write: CInt) {
    var ends: [CInt] = [-1, -1]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    // As a shell passes them on.
    return (copyAtOwnNumber(ends[0], closesOnExec: false), copyAtOwnNumber(ends[1], closesOnExec: false))
}

/// A copy at a number that no other test gets: so it can be told when it is closed, and nobody has taken it over before.
func copyAtOwnNumber(_ descriptor: CInt, closesOnExec: Bool = true) -> CInt {
    let command = closesOnExec ? F_DUPFD_CLOEXEC : F_DUPFD
    return nextNumber.withLock { next in
        var copy = fcntl(descriptor, command, next)
        // At the limit on open files, from the beginning.
        if copy < 0 { copy = fcntl(descriptor, command, firstNumber) }
        next = copy + 1
        return copy
    }
}

private let firstNumber: CInt = 600
private let nextNumber = Lock(firstNumber)

func makeFile(_ bytes: [UInt8]) throws -> String {
    let path = temporaryPath("txt")
    let file = try #require(fopen(path, "w"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    return path
}

func contents(of path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "r"))
    defer { fclose(file) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { all += buffer.prefix(count) }
    return all
}
