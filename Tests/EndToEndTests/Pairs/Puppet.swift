import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A program that leaves its standard input and output to the test, and is there for as long as the test likes.
enum Puppet {
    /// What is at the end of a command of two words: where the interpreter is, and this.
    static func words(_ control: String) -> String { "-IS \(script) \(control)" }

    /// Python itself. What stands for it in the path may be a slow script.
    static let interpreter: String = {
        let all = ["/usr/bin"] + (Place.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return all.map { "\($0)/python3" }.first { access($0, X_OK) == 0 } ?? "python3"
    }()

    /// It has given both away, and closed its own, before anything happens to them.
    private static let script: String = {
        let text = """
            import _socket, os, sys
            control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            control.connect(sys.argv[1])
            both = b''.join(number.to_bytes(4, sys.byteorder) for number in (0, 1))
            control.sendmsg([b'!'], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, both)])
            os.close(0)
            os.close(1)
            if control.recv(1): os.kill(os.getpid(), 9)
            """
        let path = temporaryPath("puppet")
        try? makeFile(path, Array(text.utf8))
        atexit { unlink(Puppet.script) }
        return path
    }()

    /// Takes the two from a puppet that has connected.
    static func side(_ control: CInt) throws -> Side {
        var entry = pollfd(fd: control, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, CInt(patience / .milliseconds(1))) == 1 else { throw NeverHappened(what: "a program") }
        var byte: UInt8 = 0
        let head = MemoryLayout<cmsghdr>.stride
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: head + 8, alignment: 8)
        defer { room.deallocate() }
        room.initializeMemory(as: UInt8.self, repeating: 0xff)
        let count = withUnsafeMutableBytes(of: &byte) { byte in
            var vector = iovec(iov_base: byte.baseAddress, iov_len: 1)
            return withUnsafeMutablePointer(to: &vector) { vector in
                var message = msghdr()
                message.msg_iov = vector
                message.msg_iovlen = 1
                message.msg_control = room.baseAddress
                message.msg_controllen = .init(room.count)
                return recvmsg(control, &message, CInt(MSG_CMSG_CLOEXEC))
            }
        }
        guard count == 1 else { throw Errno(rawValue: count < 0 ? errno : ECONNRESET) }
        return try Side(
            .program(control: control), reading: room.loadUnaligned(fromByteOffset: head, as: CInt.self),
            writing: room.loadUnaligned(fromByteOffset: head + 4, as: CInt.self))
    }

    /// Has it killed, with what it was sent unread.
    static func kill(_ control: CInt) {
        write(control, "k", 1)
        // It closes its side by dying.
        var entry = pollfd(fd: control, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, CInt(patience / .milliseconds(1)))
    }
}
