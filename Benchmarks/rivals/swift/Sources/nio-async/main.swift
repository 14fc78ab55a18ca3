// SwiftNIO's async channels: straight-line code in a task for each client, over one event loop.
// nio-async PORT
import NIOCore
import NIOPosix

guard CommandLine.arguments.count > 1, let port = Int(CommandLine.arguments[1]) else {
    fatalError("usage: nio-async PORT")
}
let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .bind(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
    }
try await withThrowingDiscardingTaskGroup { group in
    try await server.executeThenClose { clients in
        for try await client in clients {
            group.addTask {
                // A client that ends with an error ends nobody else.
                try? await client.executeThenClose { inbound, outbound in
                    for try await bytes in inbound { try await outbound.write(bytes) }
                }
            }
        }
    }
}
