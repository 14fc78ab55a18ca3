// An echo server for datagrams; DatagramClient.swift is its client, or `pier connect udp://127.0.0.5:8520 --duplex half`.
import Sockets

// Every sender at once, each in a session of its own.
let socket = try DatagramSocket(on: "udp://127.0.0.5:8520")
try await socket.serve { sender in
    while let message = try await sender.receive() {
        try await sender.send(message)
    }
}
