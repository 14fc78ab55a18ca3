// A client for datagrams; start DatagramEcho.swift first, or `pier serve echo udp://127.0.0.5:8520`.
import Sockets

// In a function: at the top level of a main.swift the compiler picks the blocking verbs, and refuses them.
func echo() async throws {
    let server = try await DatagramSocket(to: "udp://127.0.0.5:8520")
    server.receiveDeadline = .after(.seconds(1))  // either datagram may be lost, and nobody says so
    try await server.send("hello,world!")
    let reply = try await server.receive()

    print("reply-->" + String(decoding: reply.bytes, as: UTF8.self))
    server.close()
}

do { try await echo() } catch { print(error) }
