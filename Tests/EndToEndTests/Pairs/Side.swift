import SocketCore
import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One end of what a relay joins, of nothing but system calls: a client, or the server that it is joined to. Each call
/// gives up when the test's patience is over.
final class Side: Sendable {
    /// What came behind the last byte.
    enum End: Sendable {
        case finished, reset
    }

    /// What is different between the kinds.
    enum Kind: Sendable {
        case tcp, unix
        /// The standard input and output of the relay itself, from the other side.
        case standard
        /// Those of a program, which ends with what it is controlled by.
        case program(control: CInt)
        /// A file, which said these bytes before anybody asked.
        case file([UInt8])
    }

    private let kind: Kind
    private let reading: CInt
    private let writing: CInt
    private let open: Lock<(isReading: Bool, isWriting: Bool, isThere: Bool)>

    /// Owns both descriptors, which must be two.
    init(_ kind: Kind, reading: CInt, writing: CInt) throws {
        self.kind = kind
        self.reading = reading
        self.writing = writing
        open = Lock((true, true, true))
        for descriptor in [reading, writing] {
            let flags = try valid(fcntl(descriptor, F_GETFL))
            _ = try valid(fcntl(descriptor, F_SETFL, flags | O_NONBLOCK))
        }
    }

    /// Owns a socket.
    convenience init(_ kind: Kind, socket: CInt) throws {
        try self.init(kind, reading: socket, writing: try valid(fcntl(socket, F_DUPFD_CLOEXEC, 3)))
    }

    deinit { close() }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        if case .file(let said) = kind {
            guard bytes == said else { throw Unexpected(text: "a file says only what it has said") }
            return
        }
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(writing, $0.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            if count < 0, errno == EAGAIN {
                try wait(for: POLLOUT, of: writing)
            } else {
                guard count > 0 else { throw Errno(rawValue: errno) }
                sent += count
            }
        }
    }

    /// Ends the sending direction. A program's output may be its input too, so that a close would not end it.
    func finish() {
        // Of what is no socket, the close is the end.
        if open.withLock(\.isWriting) { shutdown(writing, CInt(SHUT_WR)) }
        closeOutput()
    }

    /// Closes what it sends by, and no more.
    func closeOutput() {
        let isOpen = open.withLock { open in
            defer { open.isWriting = false }
            return open.isWriting
        }
        if isOpen { Glibc.close(writing) }
    }

    /// Receives this many bytes, or fewer where it ends before.
    func receive(_ count: Int) throws -> String { String(decoding: try receiveBytes(count), as: UTF8.self) }

    func receiveBytes(_ count: Int) throws -> [UInt8] {
        let (bytes, end) = try gather(count)
        if end == .reset { throw Errno.connectionReset }
        return bytes
    }

    /// Receives all to the end, which must be none by a reset.
    func receiveAll() throws -> [UInt8] { try receiveBytes(.max) }

    func receiveText() throws -> String { String(decoding: try receiveAll(), as: UTF8.self) }

    /// How it ends, whatever comes before.
    func end() throws -> End { try gather(.max).end ?? .finished }

    private func gather(_ count: Int) throws -> (bytes: [UInt8], end: End?) {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(count, 65536))
        while all.count < count {
            let got = read(reading, &buffer, min(buffer.count, count - all.count))
            if got == 0 { return (all, .finished) }
            if got < 0 {
                switch errno {
                case EAGAIN: try wait(for: POLLIN, of: reading)
                case ECONNRESET: return (all, .reset)
                default: throw Errno(rawValue: errno)
                }
            } else {
                all += buffer[..<got]
            }
        }
        return (all, nil)
    }

    /// Has no more ears, where that can be had without an end of what it says.
    func stopReceiving() {
        let isOpen = open.withLock { open in
            defer { open.isReading = false }
            return open.isReading
        }
        if isOpen { Glibc.close(reading) }
    }

    private func wait(for event: CInt, of descriptor: CInt) throws {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        guard poll(&entry, 1, CInt(patience / .milliseconds(1))) == 1 else {
            throw NeverHappened(what: event == POLLIN ? "something to receive" : "room to send")
        }
    }

    /// Ends so that it is no end to the other side: a reset over TCP; over Unix sockets what was sent here and never
    /// received; a program is killed.
    func reset() throws {
        // The same for all, and what makes a reset of it over Unix.
        try wait(for: POLLIN, of: reading)
        switch kind {
        case .tcp:
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(reading, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        case .program(let control): Puppet.kill(control)
        case .unix, .standard, .file: break
        }
        close()
    }

    /// Ends altogether. A program ends with 0.
    func close() {
        let (isReading, isWriting, isThere) = open.withLock { open in
            defer { open = (false, false, false) }
            return open
        }
        if isWriting { Glibc.close(writing) }
        if isReading { Glibc.close(reading) }
        if isThere, case .program(let control) = kind { Glibc.close(control) }
    }
}
