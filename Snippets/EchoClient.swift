// The tutorial's client; start EchoServer.swift first, or `pier serve echo 127.0.0.5:8520`.
import Sockets

// In a function: at the top level of a main.swift the compiler picks the blocking verbs, and refuses them.
func echo() async throws {
    let server = try await Connection(to: "127.0.0.5:8520")
    try await server.send("hello,world!")
    let reply = try await server.receive(upTo: 1024)  // nil when the peer has finished sending

    print("reply-->" + String(decoding: reply ?? [], as: UTF8.self))
    server.close()
}

do { try await echo() } catch { print(error) }
