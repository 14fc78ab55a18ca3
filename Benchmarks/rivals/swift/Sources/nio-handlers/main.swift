// SwiftNIO as its own examples use it: a handler in each channel's pipeline, on one event loop.
// nio-handlers PORT [udp]
import NIOCore
import NIOPosix

/// Sends back what comes, and flushes once for all that one wake-up brought.
final class Echo: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// The same for datagrams: an envelope goes back with the address that it came from.
final class DatagramEcho: ChannelInboundHandler, Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
    // What one datagram met with ends no server.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

let arguments = CommandLine.arguments
guard arguments.count > 1, let port = Int(arguments[1]) else { fatalError("usage: nio-handlers PORT [udp]") }
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let server: any Channel
if arguments.count > 2 {
    // Several datagrams by one system call, as recvmmsg gives them: without it each costs one.
    server = try await DatagramBootstrap(group: group)
        .channelOption(.datagramVectorReadMessageCount, value: 32)
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 32 * 2048))
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DatagramEcho()) }
        }
        .bind(host: "127.0.0.1", port: port).get()
} else {
    server = try await ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 4096)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
        }
        .bind(host: "127.0.0.1", port: port).get()
}
try await server.closeFuture.get()
