import Glibc
import Loops
import Sockets

extension Scenario {
    static var datagrams: [Scenario] {
        [
            Scenario(name: "datagram echo in a session") { group in
                let socket = try DatagramSocket(on: "udp://127.0.0.1:0")
                let (hears, told) = try rawPair(SOCK_STREAM)
                Task.detached {
                    var verdict: UInt8 = 1
                    do {
                        try await socket.serve(on: group) { sender in
                            while let message = try await sender.receive() { try await sender.send(message) }
                        }
                    } catch { verdict = 0 }
                    write(told, &verdict, 1)
                }
                let peer = Peer(try rawConnect(to: socket.localAddress, SOCK_DGRAM))
                return Running { times in
                    try onLoop(group.loops[0]) { try await peer.exchange(times) }
                } end: {
                    peer.waitable.close()
                    socket.close()
                    var verdict: UInt8 = 0
                    guard read(hears, &verdict, 1) == 1, verdict == 1 else { throw Failed(what: "serve") }
                    close(hears)
                    close(told)
                }
            }
        ]
    }
}
