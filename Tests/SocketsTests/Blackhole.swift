import Sockets
import SystemPackage
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An address of this machine that answers nothing: a listener whose queue is full, so that the kernel drops who knocks.
///
/// Made with the bare system calls, which no ledger counts.
final class Blackhole: Sendable {
    let address: SocketAddress
    private let listener: CInt
    private let queue: Lock<[CInt]>

    init(_ host: String = "127.0.0.1") throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        _ = try SocketAddress("\(host):0").withSockAddr { bind(listener, $0, $1) }
        guard listen(listener, 0) == 0, let found = SocketAddress.filled({ getsockname(listener, $0, $1) }) else {
            defer { close(listener) }
            throw Errno(rawValue: errno)
        }
        self.listener = listener
        address = found
        // A queue of 0 takes one; the others are there in case that a kernel takes more.
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        queue = Lock(
            (0..<4).map { _ in
                let client = socket(AF_INET, kind, 0)
                _ = found.withSockAddr { connect(client, $0, $1) }
                return client
            })
    }

    /// Lets those in who knock from now on.
    func open() {
        for client in queue.withLock({ queue in
            defer { queue = [] }; return queue
        }) { close(client) }
        var entry = pollfd(fd: listener, events: CShort(POLLIN), revents: 0)
        while poll(&entry, 1, 0) == 1 { close(accept(listener, nil, nil)) }
    }

    deinit {
        for client in queue.withLock({ $0 }) { close(client) }
        close(listener)
    }
}
