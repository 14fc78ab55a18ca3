// The tutorial's own loop, without `await`: each verb blocks the thread, so one client at a time is served.
import Sockets

func serve(on address: String) throws {
    let server = try Listener(on: address, backlog: 5)  // 5 may queue; how many are served is another matter
    print("listening on \(server.address)")
    while true {
        let client = try server.accept()  // blocks until a client connects
        do {
            while let message = try client.receive(upTo: 1024) {  // blocks until bytes come; nil: no more will
                print("received-->" + String(decoding: message, as: UTF8.self))
                try client.send(message)
            }
        } catch {
            print(error)  // a reset ends this client, not the server
        }
        client.close()
    }
}

// An address of your own may be given as the argument.
try serve(on: CommandLine.arguments.dropFirst().first ?? "127.0.0.5:8520")
