import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What goes wrong on a bridge, and that nothing is left of it.
@Suite(.inTurn) struct BridgeFaultTests {
    private static let soon = Duration.milliseconds(50)

    @Test(arguments: Face.allCases)
    func aFullDiskIsTold(_ face: Face) async throws {
        try await trial { _ in
            let bridge = try openBridge("/dev/full", .append)
            try await bridge.connection.send([1], by: face)
            // The end that it then receives is no success.
            #expect(try await bridge.connection.receive(upTo: 9, by: face) == nil)
            #expect(try await cause { try await bridge.connection.send([1], by: face) } == .system(.brokenPipe))
            let error = await #expect(throws: SocketError.self) { try await bridge.finish(by: face) }
            #expect(error?.description == "write file:///dev/full: no space left on device")
            #expect(bridge.failure?.cause == .system(.noSpace))
        }
    }

    @Test func aFileThatCannotBeReadIsTold() async throws {
        try await trial { ledger in
            let path = try makeFile([1])
            defer { unlink(path) }
            ledger.make(.read, .fail(.ioError))
            let bridge = try openBridge(path, .read)
            #expect(try await bridge.connection.receive(upTo: 9) == nil)
            let error = await #expect(throws: SocketError.self) { try await bridge.finish() }
            #expect(error?.operation == .read && error?.cause == .system(.ioError))
        }
    }

    @Test(arguments: Face.allCases)
    func aReaderThatGoesAwayIsTold(_ face: Face) async throws {
        try await trial { _ in
            let (read, write) = try makePipe()
            let bridge = try Bridge(adopting: write)
            close(read)
            // Before anything is sent: the sender need not find out by losing bytes.
            #expect(try await bridge.connection.receive(upTo: 9, by: face) == nil)
            let error = await #expect(throws: SocketError.self) { try await bridge.finish(by: face) }
            #expect(error?.operation == .write && error?.cause == .system(.brokenPipe))
        }
    }

    /// It says so for as long as it is looked at; who did not heed that would look for ever.
    @Test func aTerminalThatHangsUpEndsBothDirections() async throws {
        try await trial { ledger in
            let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            var (number, isLocked): (CInt, CInt) = (-1, 0)
            #expect(ioctl(master, 0x4004_5431, &isLocked) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
            let bridge = try Bridge(adopting: open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC))
            close(master)
            #expect(try await bridge.connection.receive(upTo: 9) == nil)
            try await eventually { bridge.failure != nil }
            // Nothing can be sent any more, though nobody has tried: the direction has ended by itself.
            try await eventually { ledger.count(of: .shutdown) >= 2 }
            #expect(try await cause { try await bridge.connection.send([1]) } == .system(.brokenPipe))
            _ = try await cause { try await bridge.finish() }
        }
    }

    @Test(arguments: Face.allCases)
    func aCloseEndsAThreadThatWaitsToRead(_ face: Face) async throws {
        try await trial { ledger in
            let (read, write) = try makePipe()
            let readEnd = OpenFile(read)
            defer { close(write) }
            let bridge = try Bridge(adopting: read)
            try await ledger.sees(.poll)
            bridge.connection.close()
            try await eventually { !readEnd.isOpen }
            try await bridge.finish(by: face)
        }
    }

    /// A connection that is let go is closed, and so is its bridge.
    @Test func aBridgeThatIsLetGoIsTakenDown() async throws {
        try await trial { _ in
            let (read, write) = try makePipe()
            let readEnd = OpenFile(read)
            defer { close(write) }
            func leave() throws { _ = try Bridge(adopting: read) }
            try leave()
            try await eventually { !readEnd.isOpen }
        }
    }

    @Test(arguments: Face.allCases)
    func aReaderThatTakesNothingIsWaitedForOnlySoLong(_ face: Face) async throws {
        try await trial { _ in
            let (read, write) = try makePipe()
            let writeEnd = OpenFile(write)
            defer { close(read) }
            let bridge = try Bridge(adopting: write)
            try await bridge.connection.send(pattern(100_000), by: face)
            let failure = try await cause { try await bridge.finish(within: Self.soon, by: face) }
            #expect(failure == .timedOut)
            #expect(!writeEnd.isOpen)
        }
    }

    /// Bytes that nobody received do not keep those that were sent from being written.
    @Test func aCloseWithBytesUnreceivedLosesNoneThatWereSent() async throws {
        try await trial { ledger in
            let (read, write) = try makePipe()
            let (back, forth) = try makePipe()
            let both = try Bridge(adopting: write)
            let source = try Bridge(adopting: back)
            #expect(Glibc.write(forth, "unread", 6) == 6)
            try await ledger.sees(.send)
            let bytes = pattern(200_000)
            let drain = Task { try await onThread { readAll(read) } }
            try await both.connection.send(bytes)
            try await both.finish(within: patience)
            try await source.finish()
            #expect(try await drain.value == bytes)
            close(read)
            close(forth)
        }
    }

    @Test func whatCannotBeOpenedIsToldByItsName() async throws {
        try await trial { (ledger) async throws in
            let fifo = temporaryPath("fifo")
            #expect(mkfifo(fifo, 0o600) == 0)
            defer { unlink(fifo) }
            for (path, mode, errno) in [
                ("/no/such", FileAccess.read, Errno.noSuchFileOrDirectory), ("/", .read, .isDirectory),
                ("/", .append, .isDirectory), (fifo, .append, .noSuchAddressOrDevice),
            ] {
                let error = #expect(throws: SocketError.self) { try openBridge(path, mode) }
                #expect(error?.operation == .open && error?.cause == .system(errno), "\(path)")
                #expect(error?.description.hasPrefix("open file://\(path): ") == true)
            }
            #expect(try await cause { try Bridge(adopting: 1 << 20) } == .system(.badFileDescriptor))
            #expect(ledger.open.isEmpty)
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            for call in [SystemCall.socketpair, .eventfd, .fstat, .shutdown] {
                ledger.make(call, .fail(.tooManyOpenFiles))
                #expect(try await cause { try openBridge("/dev/null", .read) } == .system(.tooManyOpenFiles))
                try await eventually { ledger.open.isEmpty }
            }
            // What was refused is still the caller's.
            ledger.make(.eventfd, .fail(.tooManyOpenFiles))
            #expect(try await cause { try Bridge(adopting: null) } == .system(.tooManyOpenFiles))
            #expect(close(null) == 0)
        }
    }

    /// A FIFO that nobody writes yet is no end.
    @Test func aFIFOIsReadFromItsFirstWriterOn() async throws {
        try await trial { ledger in
            let fifo = temporaryPath("fifo")
            #expect(mkfifo(fifo, 0o600) == 0)
            defer { unlink(fifo) }
            let bridge = try openBridge(fifo, .read)
            try await ledger.sees(.poll)
            let writer = open(fifo, O_WRONLY | O_CLOEXEC)
            #expect(Glibc.write(writer, "late", 4) == 4)
            close(writer)
            #expect(try await bridge.connection.receiveAll() == Array("late".utf8))
            try await bridge.finish()
        }
    }
}

private func readAll(_ descriptor: CInt) -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = read(descriptor, &buffer, buffer.count), count > 0 { all += buffer.prefix(count) }
    return all
}
