import FuzzSupport
import SocketCore
@testable import Sockets

// A stream of any bytes gives the same datagrams wherever it is cut, and what was found is found again when it is framed anew.

fuzz { data, count in
    let script = input(data, count)
    guard let first = script.first else { return 0 }
    let bytes = Array(script.dropFirst())
    for framing in Framing.allCases where framing != .none {
        let whole = found(framing, [bytes])
        let size = Int(first % 32) + 1
        let cut = found(framing, stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0...].prefix(size)) })
        precondition(whole.datagrams == cut.datagrams, "cut otherwise it gives others")
        precondition(whole.error == cut.error, "cut otherwise it ends otherwise")
        var framed: [UInt8] = []
        let carried = whole.datagrams.filter { framing.append($0, to: &framed) == nil }
        precondition(framing != .length || carried.count == whole.datagrams.count, "a length was refused")
        let again = found(framing, [framed])
        precondition(again.datagrams == carried && again.error == nil, "framed again it gives others")
    }
    return 0
}

private func found(_ framing: Framing, _ pieces: [[UInt8]]) -> (datagrams: [[UInt8]], error: SocketError.Cause?) {
    var deframer = Deframer(framing)
    var found: [[UInt8]] = []
    do throws(WrongFraming) {
        for piece in pieces where !piece.isEmpty {
            deframer.append(piece)
            while let datagram = try deframer.next() {
                precondition(datagram.count <= 65535, "it is longer than any datagram")
                found.append(datagram)
            }
        }
        if let last = try deframer.finish() { found.append(last) }
    } catch {
        return (found, error.cause)
    }
    return (found, nil)
}
