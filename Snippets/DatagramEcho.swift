// An echo server for datagrams; DatagramClient.swift is its client, or `pier connect udp://127.0.0.5:8520 --duplex half`.
import Sockets

// Each datagram is answered by itself, and nothing is kept of its sender.
let socket = try DatagramSocket(on: "udp://127.0.0.5:8520")
try await socket.serveDatagrams { $0.bytes }
