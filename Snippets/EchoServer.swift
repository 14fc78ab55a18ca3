// The tutorial's server, for every client at once; EchoClient.swift is its client.
import Sockets

// Every client at once. `await` is where the tutorial's server blocked.
let listener = try Listener(on: "127.0.0.5:8520")
try await listener.serve { client in
    while let message = try await client.receive(upTo: 1024) {
        try await client.send(message)
    }
}
