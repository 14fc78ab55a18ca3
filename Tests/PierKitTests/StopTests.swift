import Testing
import TestSupport

@testable import PierKit

/// Where receiving ends by itself, however what comes is cut.
@Suite(.inTurn) struct StopTests {
    /// All ways to cut some bytes in two, and into three.
    private func cuts(_ bytes: [UInt8]) -> [[[UInt8]]] {
        var all: [[[UInt8]]] = [bytes.map { [$0] }]
        for first in 0...bytes.count {
            for second in first...bytes.count {
                all.append([Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])])
            }
        }
        return all
    }

    /// What is written of pieces that come one after another, and whether that was all that was asked for.
    private func written(_ pieces: [[UInt8]], _ goal: Stop.Goal) -> (String, Bool) {
        var stop = Stop(goal)
        var all: [UInt8] = []
        for piece in pieces where !stop.isReached && !piece.isEmpty { all += stop.taken(of: piece) }
        #expect(stop.count == all.count)
        return (String(decoding: all, as: UTF8.self), stop.isReached)
    }

    @Test(arguments: [
        ("hello\r\nworld\r\n", "\r\n", "hello\r\n"), ("aaab", "aab", "aaab"), ("ababac", "abac", "ababac"),
        ("aabaaabaaac", "aabaaac", "aabaaabaaac"), ("abcabcabd", "abcabd", "abcabcabd"), ("x", "x", "x"),
        ("xx", "x", "x"),
        ("\r\r\n", "\r\n", "\r\r\n"), ("\r\n\r\r\n\r\n!", "\r\n\r\n", "\r\n\r\r\n\r\n"), ("深水", "水", "深水"),
        ("\0\0\u{1}", "\0\u{1}", "\0\0\u{1}"),
    ])
    func aTextIsFoundAtItsFirstEndHoweverItIsCut(all: String, text: String, upTo end: String) {
        for pieces in cuts(Array(all.utf8)) {
            let (written, isReached) = written(pieces, .text(Array(text.utf8)))
            #expect(written == end && isReached, "\(pieces)")
        }
    }

    @Test(arguments: [("hello", "world"), ("aab", "aaab"), ("ababab", "abac"), ("", "x"), ("\n\r", "\r\n")])
    func aTextThatDoesNotComeIsNotFoundHoweverItIsCut(all: String, text: String) {
        for pieces in cuts(Array(all.utf8)) {
            let (written, isReached) = written(pieces, .text(Array(text.utf8)))
            #expect(written == all && !isReached, "\(pieces)")
        }
    }

    /// Against a search that is too simple to be wrong, over texts of two letters, which repeat themselves all the time.
    @Test func itFindsWhatASimpleSearchFinds() {
        var generator = SeededGenerator(seed: 8520)
        for _ in 0..<5000 {
            let letters = { (count: Int) in (0..<count).map { _ in UInt8.random(in: 0...1, using: &generator) } }
            let (all, text) = (
                letters(Int.random(in: 0...40, using: &generator)), letters(Int.random(in: 1...6, using: &generator))
            )
            let simple = (0...max(0, all.count)).first { all[..<$0].suffix(text.count).elementsEqual(text) }
            var search = TextSearch(text)
            var (found, count) = (Int?.none, 0)
            var rest = all[...]
            while found == nil, !rest.isEmpty {
                let piece = Array(rest.prefix(Int.random(in: 1...7, using: &generator)))
                found = search.end(in: piece).map { $0 + count }
                count += piece.count
                rest = rest.dropFirst(piece.count)
            }
            #expect(found == simple, "\(all) \(text)")
        }
    }

    @Test func aNumberOfBytesIsExactHoweverTheyAreCut() {
        for count in 1...7 {
            for pieces in cuts(Array("abcdefg".utf8)) {
                #expect(written(pieces, .bytes(count)) == (String("abcdefg".prefix(count)), true))
            }
        }
        for pieces in cuts(Array("abc".utf8)) { #expect(written(pieces, .bytes(4)) == ("abc", false)) }
    }

    @Test func noMoreIsReceivedThanIsAskedFor() {
        var stop = Stop(.bytes(100))
        #expect(stop.room(65536) == 100)
        _ = stop.taken(of: [UInt8](repeating: 0, count: 60))
        #expect(stop.room(65536) == 40 && stop.room(8) == 8)
        #expect(Stop(.text([0])).room(65536) == 65536)
    }
}

/// `--crlf`
@Suite(.inTurn) struct LineEndTests {
    @Test(arguments: [
        ("one\ntwo\n", "one\r\ntwo\r\n"), ("one\r\ntwo", "one\r\ntwo"), ("\n\n", "\r\n\r\n"), ("\r\n\r\n", "\r\n\r\n"),
        ("a\rb", "a\rb"), ("\r\r\n", "\r\r\n"), ("\n\r", "\r\n\r"), ("\r\n\n", "\r\n\r\n"), ("", ""),
    ])
    func eachLineEndIsTwoBytesHoweverItIsCut(text: String, sent: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var lineEnds = LineEnds()
            let both = lineEnds.converted(Array(bytes[..<cut])) + lineEnds.converted(Array(bytes[cut...]))
            #expect(both == Array(sent.utf8), "\(cut)")
        }
    }
}
