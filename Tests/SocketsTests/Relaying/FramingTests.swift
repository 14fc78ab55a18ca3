import SocketCore
import TestSupport
import Testing

@testable import Sockets

/// What a framing makes of datagrams, and finds again however the stream is cut.
@Suite(.inTurn) struct FramingTests {
    private static let datagrams: [[UInt8]] = [
        Array("one".utf8), [], Array("深水".utf8), [0], [13, 65], [255, 0, 255], Array(repeating: 7, count: 300), [],
    ]

    /// All that a stream of these pieces gives; and why it ends before the end of it.
    private func found(
        _ framing: Framing, _ pieces: [[UInt8]], ends: Bool = true
    ) -> (datagrams: [[UInt8]], error: SocketError.Cause?) {
        var deframer = Deframer(framing)
        var found: [[UInt8]] = []
        do throws(WrongFraming) {
            for piece in pieces where !piece.isEmpty {
                deframer.append(piece)
                while let datagram = try deframer.next() { found.append(datagram) }
            }
            if ends, let last = try deframer.finish() { found.append(last) }
        } catch {
            return (found, error.cause)
        }
        return (found, nil)
    }

    private func framed(_ framing: Framing, _ datagrams: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for datagram in datagrams { #expect(framing.append(datagram, to: &bytes) == nil) }
        return bytes
    }

    @Test(arguments: [Framing.lines, .length])
    func whatWasFramedIsFoundWhereverItIsCut(_ framing: Framing) {
        let bytes = framed(framing, Self.datagrams)
        for cut in 0...bytes.count {
            let found = found(framing, [Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(found.datagrams == Self.datagrams && found.error == nil, "cut at \(cut)")
        }
        #expect(found(framing, bytes.map { [$0] }).datagrams == Self.datagrams)
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func piecesOfAnyLengthGiveTheSame(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for framing in [Framing.lines, .length] {
            let bytes = framed(framing, (0..<50).flatMap { _ in Self.datagrams })
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...700, using: &generator))
                pieces.append(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            #expect(found(framing, pieces).datagrams == (0..<50).flatMap { _ in Self.datagrams })
        }
    }

    @Test func aLineEndsWithLFOrCRLFAndTheLastMayLackIt() {
        let text = Array("a\r\nb\n\r\n\nc\rd\ne".utf8)
        let lines = found(.lines, text.map { [$0] })
        #expect(lines.datagrams == ["a", "b", "", "", "c\rd", "e"].map { Array($0.utf8) } && lines.error == nil)
        #expect(found(.lines, [Array("e\r".utf8)]).datagrams == [Array("e".utf8)])
    }

    @Test func aLineMayBeAsLongAsADatagramAndNoLonger() {
        let longest = [UInt8](repeating: 0x61, count: Framing.longest)
        for end in [[10], [13, 10]] as [[UInt8]] {
            #expect(found(.lines, [longest + end]).datagrams == [longest])
            #expect(found(.lines, [longest, end]).datagrams == [longest])
        }
        for late in [[0x61], [0x61, 10], [13, 0x61], [13, 13, 10]] as [[UInt8]] {
            let found = found(.lines, [[0x62, 10] + longest, late], ends: false)
            #expect(found.datagrams == [[0x62]])
            #expect(found.error == .lineTooLong(limit: Framing.longest))
        }
    }

    @Test(arguments: [[0], [0, 5], [0, 5, 1, 2], [255, 255, 1]] as [[UInt8]])
    func aLengthThatNeverComesWholeIsAnErrorBehindWhatWasWhole(_ cut: [UInt8]) {
        let found = found(.length, [[0, 1, 9, 0, 0] + cut])
        #expect(found.datagrams == [[9], []])
        #expect(found.error == .ended(received: cut.count))
    }

    @Test func withoutFramingEachPieceIsADatagramAndNoneIsTooLong() {
        #expect(found(.none, [[1, 2], [3]]).datagrams == [[1, 2], [3]])
        let long = found(.none, [[UInt8](repeating: 1, count: Framing.longest + 3)])
        #expect(long.datagrams.map(\.count) == [Framing.longest, 3])
    }

    @Test func whatAFramingCannotCarryIsRefusedAndLeavesNoTrace() {
        var bytes: [UInt8] = [1]
        for wrong in [[10], [65, 10], [10, 65], [65, 13], [13]] as [[UInt8]] {
            #expect(Framing.lines.append(wrong, to: &bytes) != nil)
        }
        #expect(Framing.none.append([], to: &bytes) != nil)
        #expect(
            Framing.length.append([UInt8](repeating: 0, count: 65536), to: &bytes) == .system(.messageTooLong))
        #expect(bytes == [1])
        #expect(Framing.length.append([UInt8](repeating: 0, count: 65535), to: &bytes) == nil)
        #expect(bytes.count == 65538)
    }
}
