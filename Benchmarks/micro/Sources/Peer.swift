import Glibc
import Loops
import SocketCore
import Sockets

// The other side, in bare system calls, so that next to nothing of what is counted is its own.

/// Two sockets that are joined (`socketpair(2)`).
func rawPair(_ kind: __socket_type) throws -> (CInt, CInt) {
    var both: [CInt] = [0, 0]
    guard socketpair(AF_UNIX, CInt(kind.rawValue), 0, &both) == 0 else { throw Failed(what: "socketpair") }
    return (both[0], both[1])
}

/// A socket that is connected to an address; blocking.
func rawConnect(to address: SocketAddress, _ kind: __socket_type = SOCK_STREAM) throws -> CInt {
    let fd = address.withSockAddr { pointer, length in
        let fd = socket(CInt(pointer.pointee.sa_family), CInt(kind.rawValue), 0)
        return fd >= 0 && connect(fd, pointer, length) == 0 ? fd : -1
    }
    guard fd >= 0 else { throw Failed(what: "connect") }
    return fd
}

/// A message out and its echo in, blocking the thread.
func rawExchange(_ fd: CInt) throws {
    try withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { bytes in
        bytes.initializeMemory(as: UInt8.self, repeating: 0x2e)
        guard write(fd, bytes.baseAddress, 64) == 64, read(fd, bytes.baseAddress, 64) == 64 else {
            throw Failed(what: "an exchange")
        }
    }
}

/// A peer whose task is on the same loop as the server's, so that one thread does everything in a fixed order.
final class Peer: Sendable {
    let waitable: Waitable

    init(_ fd: CInt) {
        waitable = Waitable(Descriptor(owning: fd), shortReadsDrain: true)
    }

    /// Sends a message and waits for its echo, so often. On the loop.
    func exchange(_ times: Int) async throws {
        try waitable.register()
        for _ in 0..<times {
            try send()
            repeat { _ = await waitable.suspend(.receive) } while try !receive()
        }
    }

    private func send() throws {
        var message: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4, 5, 6, 7, 8)
        guard Glibc.send(waitable.rawValue, &message, 64, 0) == 64 else { throw Failed(what: "send") }
    }

    private func receive() throws -> Bool {
        var message: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
        let count = recv(waitable.rawValue, &message, 64, CInt(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN { return false }
        guard count == 64 else { throw Failed(what: "recv") }
        return true
    }
}
