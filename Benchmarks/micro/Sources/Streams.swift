import CCounting
import Glibc
import Loops
import Sockets

// A server as its users write it, on one loop, and a peer whose task is on that loop too.

extension Scenario {
    static var streams: [Scenario] {
        [
            echo("echo", idleTimeout: nil, echoStraight),
            echo("echo, idle timeout", idleTimeout: .seconds(3600), echoStraight),
            echo("echo, own buffer", idleTimeout: nil, echoIntoBuffer),
            echo("echo, forwarded", idleTimeout: .seconds(3600)) { try await $0.forward(to: $0) },
            Scenario(name: "accept and close") { group in
                let listener = try Listener(on: "127.0.0.1:0")
                return Running { times in
                    try onLoop(group.loops[0]) {
                        for _ in 0..<times {
                            let fd = try rawConnect(to: listener.address)
                            // The handshake ends when the kernel comes to it.
                            guard try listener.waitable.use({ isReadable($0) }) == true else {
                                throw Failed(what: "poll")
                            }
                            try await listener.accept().close()
                            close(fd)
                        }
                    }
                } end: {
                    listener.close()
                }
            },
            Scenario(name: "client served, from connect to close") { group in
                // Over a Unix socket the peer's end is there as soon as it has finished.
                let server = try Server(on: "unix://@pier-micro-\(getpid())", group, idleTimeout: nil, echoStraight)
                return Running { times in
                    for _ in 0..<times { try server.serveOneThatFinishesAtOnce() }
                } end: {
                    try server.end()
                }
            },
        ]
    }

    private static func echo(
        _ name: String, idleTimeout: Duration?, _ body: @escaping @Sendable (Connection) async throws -> Void
    ) -> Scenario {
        Scenario(name: name) { group in
            let server = try Server(on: "127.0.0.1:0", group, idleTimeout: idleTimeout, body)
            let peer = Peer(try rawConnect(to: server.listener.address))
            return Running { times in
                try onLoop(group.loops[0]) { try await peer.exchange(times) }
            } end: {
                peer.waitable.close()
                try server.end()
            }
        }
    }
}

/// The front page's echo.
@Sendable func echoStraight(_ client: Connection) async throws {
    while let message = try await client.receive(upTo: 1024) {
        try await client.send(message)
    }
}

/// The same into a buffer that lives as long as the client.
@Sendable func echoIntoBuffer(_ client: Connection) async throws {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 8)
    defer { memory.deallocate() }
    while true {
        var buffer = OutputRawSpan(buffer: memory, initializedCount: 0)
        let count = try await client.receive(into: &buffer)
        if count == 0 { return }
        try await client.send(buffer.bytes)
    }
}

private func isReadable(_ fd: CInt) -> Bool {
    var entry = pollfd(fd: fd, events: CShort(POLLIN), revents: 0)
    return poll(&entry, 1, 20_000) == 1
}

/// A listener and its `serve`, which ends when it is told to.
final class Server {
    let listener: Listener
    private let loop: EventLoop
    private let (hears, told): (CInt, CInt)

    init(
        on endpoint: String, _ group: EventLoopGroup, idleTimeout: Duration?,
        _ body: @escaping @Sendable (Connection) async throws -> Void
    ) throws {
        let listener = try Listener(on: endpoint)
        let (hears, told) = try rawPair(SOCK_STREAM)
        self.listener = listener
        self.hears = hears
        self.told = told
        loop = group.loops[0]
        Task.detached {
            var verdict: UInt8 = 1
            do { try await listener.serve(on: group, idleTimeout: idleTimeout, body) } catch { verdict = 0 }
            write(told, &verdict, 1)
        }
    }

    func end() throws {
        listener.close()
        var verdict: UInt8 = 0
        guard read(hears, &verdict, 1) == 1, verdict == 1 else { throw Failed(what: "serve") }
        close(hears)
        close(told)
    }

    /// A client that connects and finishes before the server comes to it, for the loop itself runs the client's calls.
    func serveOneThatFinishesAtOnce() throws {
        let address = listener.address
        let told = told
        guard
            loop.execute({
                var fd: CInt = -1
                do {
                    fd = try rawConnect(to: address)
                    shutdown(fd, CInt(SHUT_WR))
                } catch {}
                withUnsafeBytes(of: fd) { _ = write(told, $0.baseAddress, 4) }
            })
        else { throw Failed(what: "an action") }
        var fd: CInt = -1
        guard read(hears, &fd, 4) == 4, fd >= 0 else { throw Failed(what: "connect") }
        defer { close(fd) }
        var byte: UInt8 = 0
        guard read(fd, &byte, 1) == 0 else { throw Failed(what: "the end") }
    }
}

/// The bytes of the heap that a client takes who has been answered and says nothing: its connection, and its task with all
/// the frames in which it waits. When the frames of the front page's echo outgrow the task's first piece of memory, this
/// rises by that of a second one.
func bytesOfParkedClient() throws -> Double {
    let group = try EventLoopGroup(loops: 1, name: "micro")
    defer { group.close() }
    let server = try Server(on: "127.0.0.1:0", group, idleTimeout: nil, echoStraight)
    var clients: [CInt] = []
    clients.reserveCapacity(400)
    func bytes(at count: Int) throws -> Int64 {
        while clients.count < count {
            let fd = try rawConnect(to: server.listener.address)
            try rawExchange(fd)
            clients.append(fd)
        }
        settle()
        return counting_live_bytes()
    }
    let few = try bytes(at: 100)
    let many = try bytes(at: 400)
    for fd in clients { close(fd) }
    try server.end()
    return Double(many - few) / 300
}
