// A counter of datagrams: each sender is told how many of his have come. DatagramClient.swift is a client.
import Sockets

// Every sender at once, each in a session of its own, which remembers him from one datagram to the next.
let socket = try DatagramSocket(on: "udp://127.0.0.5:8520")
try await socket.serve { sender in
    var count = 0
    while let message = try await sender.receive() {
        count += 1
        try await sender.send("\(count): \(message.count) bytes")
    }
}
