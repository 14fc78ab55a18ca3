// A room in which each line that a client writes goes to all the others; try it with `nc 127.0.0.1 PORT`.
import Sockets

/// Who is in the room.
actor Room {
    private var members: [ObjectIdentifier: Connection] = [:]

    func enter(_ client: Connection) { members[ObjectIdentifier(client)] = client }
    func leave(_ client: Connection) { members[ObjectIdentifier(client)] = nil }
    func others(than client: Connection) -> [Connection] { members.values.filter { $0 !== client } }
}

func serveRoom(on address: String) async throws {
    let room = Room()
    let listener = try Listener(on: address)
    print("listening on \(listener.address)")
    // Who does not read for a minute, or does not write, is shown out: a send to him would hold up the speaker.
    try await listener.serve(idleTimeout: .seconds(60)) { client in
        await room.enter(client)
        do {
            for try await line in client.lines(upTo: 1024) {
                for other in await room.others(than: client) {
                    try? await other.send("\(client.remoteAddress): \(line)\n")
                }
            }
        } catch {
            print("\(client.remoteAddress) is gone: \(error)")
        }
        await room.leave(client)
    }
}

// An address of your own may be given as the argument; port 0 means a free one.
try await serveRoom(on: CommandLine.arguments.dropFirst().first ?? "127.0.0.1:0")
