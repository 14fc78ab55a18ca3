import Sockets
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Somebody who sends without end and reads all that comes back, on threads of its own and with the bare system calls: much
/// faster than a forward of a few bytes at a time can be, which so never finds nothing to receive nor no room to send.
struct Firehose: Sendable {
    private let sending: Task<Void, any Error>
    private let reading: Task<Void, any Error>
    private let passed = Counter()
    /// Copies of the descriptors, so that the sockets live as long as their threads.
    private let ends: [CInt]

    init(into sender: Connection, outOf reader: Connection) throws {
        let into = try sender.withDescriptor { dup($0) }
        let out = try reader.withDescriptor { dup($0) }
        ends = [into, out]
        let passed = passed
        sending = Task {
            try await onThread {
                let piece = [UInt8](repeating: 0x21, count: 65536)
                while true {
                    let count = send(into, piece, piece.count, CInt(MSG_NOSIGNAL))
                    if count < 0, errno != EAGAIN { return }
                    if count < 0 { wait(into, POLLOUT) }
                }
            }
        }
        reading = Task {
            try await onThread {
                var piece = [UInt8](repeating: 0, count: 65536)
                while true {
                    let count = recv(out, &piece, piece.count, 0)
                    if count == 0 || (count < 0 && errno != EAGAIN) { return }
                    if count < 0 { wait(out, POLLIN) } else { passed.add(count) }
                }
            }
        }
    }

    /// Waits until so many bytes more have come through.
    func passes(_ count: Int) async throws {
        let before = passed.value
        try await eventually(patience, "\(count) bytes through the firehose") { passed.value >= before + count }
    }

    /// Ends it; the sockets are of no use afterwards.
    func close() async throws {
        for end in ends { shutdown(end, CInt(SHUT_RDWR)) }
        _ = try await (sending.value, reading.value)
        for end in ends { closeRaw(end) }
    }
}

private func closeRaw(_ fd: CInt) { close(fd) }

private func wait(_ fd: CInt, _ events: Int32) {
    var entry = pollfd(fd: fd, events: CShort(events), revents: 0)
    poll(&entry, 1, 100)
}
