// The tutorial's four stages, created, bound, accepted and connected, told by a trace; before `listen` a client is refused.
import Sockets

func showStages() throws {
    let trace = Trace.lines { print("  " + $0) }

    print("The server makes a socket and binds it; port 0 means a free one:")
    let listener = try Listener(bound: Endpoint("127.0.0.1:0"), trace: trace)

    print("A client that comes now is refused:")
    do {
        _ = try Connection(to: listener.endpoint)
    } catch {
        print("  \(error)")
    }

    print("The server listens:")
    try listener.listen(backlog: 5)

    print("A client connects. The kernel answers for the server, which has not accepted yet:")
    let client = try Connection(to: listener.endpoint, trace: trace)

    print("The server accepts, and has the peer's end of the connection:")
    let peer = try listener.accept()

    print("The client closes; that sends a FIN, which the peer reads as the end:")
    client.close()
    let end = try peer.receive(upTo: 1024)
    print("  receive gave \(end.map { "\($0)" } ?? "nil")")
}

try showStages()
