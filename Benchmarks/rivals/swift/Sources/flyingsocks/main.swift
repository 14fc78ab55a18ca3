// FlyingSocks, the sockets below FlyingFox: straight-line code in a task for each client, over one poller.
// flyingsocks PORT
//
// The pool with a choice of how many events one look takes is private there; its default of 20 would cost it rounds.
@_spi(Private) import FlyingSocks
import Foundation
import Glibc

/// epoll, as FlyingSocks chooses it on Linux.
func poller() -> some AsyncSocketPool { .make(maxEvents: 512) }

func echo(_ client: AsyncSocket) async {
    defer { try? client.close() }
    do {
        while true { try await client.write(Data(client.read(atMost: 4096))) }
    } catch {
        // The end of the client is an error here, as a failure is.
    }
}

guard CommandLine.arguments.count > 1, let port = UInt16(CommandLine.arguments[1]) else {
    fatalError("usage: flyingsocks PORT")
}
let pool = poller()
try await pool.prepare()
let polling = Task { try await pool.run() }
let socket = try Socket(domain: AF_INET)
try socket.setValue(true, for: BoolSocketOption(name: SO_REUSEADDR))
try socket.bind(to: .inet(ip4: "127.0.0.1", port: port))
try socket.listen(maxPendingConnection: 4096)
let listener = try AsyncSocket(socket: socket, pool: pool)
try await withThrowingDiscardingTaskGroup { group in
    for try await client in listener.sockets {
        group.addTask { await echo(client) }
    }
}
polling.cancel()
