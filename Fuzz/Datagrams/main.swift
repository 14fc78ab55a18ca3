import FuzzSupport
import SocketCore
import Sockets

// Datagrams keep their borders: whatever is sent and asked for, in whatever order, each comes once, whole or cut as asked.

/// Each kind of socket once, for all runs: an input leaves nothing behind in them.
private let sockets: [(from: DatagramSocket, to: DatagramSocket)] = {
    do {
        let pair = try DatagramSocket.pair()
        let server = try DatagramSocket(on: "udp://127.0.0.1:0")
        let client = try DatagramSocket(to: server.endpoint)
        return [(pair.0, pair.1), (client, server)]
    } catch {
        fatalError("\(error)")
    }
}()

fuzz { data, count in
    let script = Array(input(data, count).prefix(256))
    do {
        for (from, to) in sockets { try run(script, from, to) }
    } catch {
        fatalError("\(error)")
    }
    return 0
}

/// Two bytes a step: a size to send with the highest bit clear, or a limit to receive with when it is set.
private func run(_ script: [UInt8], _ from: DatagramSocket, _ to: DatagramSocket) throws(SocketError) {
    var pending: ArraySlice<[UInt8]> = []
    for index in stride(from: 0, to: script.count - 1, by: 2) {
        let number = Int(script[index] & 0x7f) << 8 | Int(script[index + 1])
        if script[index] < 0x80 {
            // A Unix receiver's queue has room for ten, and the kernel's buffers for 200 KB: nobody else reads.
            while pending.count == 8 || pending.reduce(number, { $0 + $1.count }) > 100_000 {
                try receive(.max, &pending, to)
            }
            let bytes = (0..<number).map { UInt8(truncatingIfNeeded: $0 &+ index) }
            try from.send(bytes)
            pending.append(bytes)
        } else if !pending.isEmpty {
            // A limit of zero is refused.
            try receive(max(1, number), &pending, to)
        }
    }
    while !pending.isEmpty { try receive(.max, &pending, to) }
}

private func receive(
    _ limit: Int, _ pending: inout ArraySlice<[UInt8]>, _ socket: DatagramSocket
) throws(SocketError) {
    let got = try socket.receive(upTo: limit)
    let sent = pending.removeFirst()
    precondition(got.bytes == Array(sent.prefix(limit)), "other bytes came")
    precondition(got.isTruncated == (sent.count > limit), "it does not say whether it was cut")
}
