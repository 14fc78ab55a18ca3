import Sockets
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// What a peer can do to us, and Pier itself never does: through the bare descriptor.

extension Connection {
    /// Closes with a reset: at once, and so that the peer's next receive is an error (SO_LINGER with no time).
    func reset() throws {
        try withDescriptor { fd in
            var linger = linger(l_onoff: 1, l_linger: 0)
            _ = setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        }
        close()
    }

    /// One send(2), which does not wait.
    @discardableResult
    func rawSend(_ bytes: [UInt8], flags: CInt = 0) throws -> Int {
        try withDescriptor { fd in sendto(fd, bytes, bytes.count, flags | CInt(MSG_NOSIGNAL), nil, 0) }
    }

    /// Sends bytes as one message that carries a descriptor (SCM_RIGHTS); a stream's reads stop behind it.
    func rawSendWithDescriptor(_ bytes: [UInt8]) throws -> Int {
        try withDescriptor { fd in
            var bytes = bytes
            // A control message: its length, level and type, and one descriptor, standard error.
            var control: (UInt, CInt, CInt, CInt, CInt) = (20, SOL_SOCKET, CInt(SCM_RIGHTS), 2, 0)
            return bytes.withUnsafeMutableBytes { bytes in
                withUnsafeMutableBytes(of: &control) { control in
                    var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return withUnsafeMutablePointer(to: &vector) { vector in
                        var message = msghdr()
                        message.msg_iov = vector
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        return sendmsg(fd, &message, CInt(MSG_NOSIGNAL))
                    }
                }
            }
        }
    }

    /// Makes the kernel's buffers on the way to a peer small, so that little is enough to fill them.
    func narrow(to peer: Connection) throws {
        try setOption(.sendBuffer, to: 16384)
        try peer.setOption(.receiveBuffer, to: 16384)
    }

    /// Sends to a peer until the kernel takes no more; gives the number of bytes.
    @discardableResult
    func fill(with peer: Connection) throws -> Int {
        try narrow(to: peer)
        var sent = 0
        let piece = [UInt8](repeating: 0x2e, count: 65536)
        while true {
            let count = try rawSend(piece)
            guard count > 0 else { return sent }
            sent += count
        }
    }
}

/// Whether a descriptor is open in this process.
func isOpen(_ fd: CInt) -> Bool { fcntl(fd, F_GETFD) >= 0 }

/// What a descriptor means now. Once it has been closed its number may soon be another test's.
struct OpenFile {
    private let descriptor: CInt
    private let inode: UInt?

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        inode = Self.inode(descriptor)
    }

    /// Whether the number still means it.
    var isOpen: Bool { inode != nil && Self.inode(descriptor) == inode }

    private static func inode(_ descriptor: CInt) -> UInt? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? UInt(status.st_ino) : nil
    }
}

/// Waits for a byte with the bare system calls, which no ledger counts; nil at the end of the stream.
func readByte(_ fd: CInt) -> UInt8? {
    var entry = pollfd(fd: fd, events: CShort(POLLIN), revents: 0)
    var byte: UInt8 = 0
    guard poll(&entry, 1, 20_000) == 1, recv(fd, &byte, 1, 0) == 1 else { return nil }
    return byte
}
