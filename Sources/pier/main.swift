import Sockets
let listener = try Listener(on: "127.0.0.1:" + CommandLine.arguments[1], trace: CommandLine.arguments.count > 2 ? .lines(to: { print($0) }) : nil)
let group = try EventLoopGroup(loops: 1)
try await listener.serve(on: group, idleTimeout: .seconds(300)) { client in
    while let message = try await client.receive(upTo: 65536) {
        try await client.send(message)
    }
}
