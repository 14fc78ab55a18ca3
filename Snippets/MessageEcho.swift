// The echo server for those who hold very many silent clients: a call for each message, and no task for who says nothing.
import Sockets

let listener = try Listener(on: "127.0.0.5:8520")
try await listener.serveMessages(upTo: 1024) { client, message in
    try await client.send(message)
}
