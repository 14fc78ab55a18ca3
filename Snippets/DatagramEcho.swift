// An echo server for datagrams: each sender has a session of its own, which ends when he has been silent for long.
import Sockets

let place = CommandLine.arguments.dropFirst().first ?? "127.0.0.5:8520"
let socket = try DatagramSocket(on: "udp://\(place)")
print("listening on \(socket.endpoint)")
try await EventLoopGroup.run(loops: 1) { loops in
    try await socket.serve(on: loops) { session in
        while let message = try await session.receive() {
            try await session.send(message)
        }
    }
}
