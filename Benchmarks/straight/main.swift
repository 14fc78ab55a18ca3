// The front page's server with its port as an argument, on one loop: what straight-line code costs, verb by verb.
import Sockets

guard CommandLine.arguments.count == 2 else { fatalError("which port?") }
let listener = try Listener(on: "127.0.0.1:\(CommandLine.arguments[1])")
try await listener.serve(on: EventLoopGroup(loops: 1), idleTimeout: .seconds(300)) { client in
    while let message = try await client.receive(upTo: 65536) {
        try await client.send(message)
    }
}
