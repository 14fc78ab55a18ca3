import Sockets
let listener = try Listener(on: "127.0.0.1:" + CommandLine.arguments[1], trace: CommandLine.arguments.count > 3 ? .lines(to: { print($0) }) : nil)
let group = try EventLoopGroup(loops: 1)
try await listener.serve(on: group, idleTimeout: .seconds(300)) { client in
    while let message = try await client.receive(upTo: Int(CommandLine.arguments[2])!) {
        try await client.send(message)
    }
}
