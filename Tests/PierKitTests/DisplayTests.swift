@testable import PierKit
import Testing
import TestSupport

/// How a peer's bytes become text that a terminal can be given.
@Suite(.inTurn) struct DisplayTests {
    private func shown(_ text: String, keepsLines: Bool = false) -> String? {
        shown(Array(text.utf8), keepsLines: keepsLines)
    }

    private func shown(_ bytes: [UInt8], keepsLines: Bool = false) -> String? {
        var display = Display(.text, keepsLines: keepsLines)
        let text = display.text(for: bytes)
        guard let rest = display.rest() else { return text }
        return (text ?? "") + rest
    }

    @Test func aMessageIsShownAsItIs() {
        #expect(shown("hello,world!") == "hello,world!")
        #expect(shown("已收到 ä €😀") == "已收到 ä €😀")
    }

    @Test func oneTrailingNewlineIsDroppedAndOthersAreEscaped() {
        #expect(shown("a\n") == "a")
        #expect(shown("a\r\n") == "a")
        #expect(shown("a\n\n") == "a\\n")
        #expect(shown("a\nb\n") == "a\\nb")
        #expect(shown("a\r\nb") == "a\\r\\nb")
        #expect(shown("a\r") == "a\\r")
        #expect(shown("\n") == "")
    }

    @Test func tabPasses() {
        #expect(shown("a\tb") == "a\tb")
    }

    @Test(arguments: (UInt8(0)...0x1f).filter { $0 != 0x09 } + [0x7f])
    func everyOtherControlIsWrittenVisibly(byte: UInt8) throws {
        let text = try #require(shown([0x61, byte, 0x62]))
        #expect(text.hasPrefix("a\\") && text.hasSuffix("b"))
        #expect(!text.utf8.contains(byte))
    }

    @Test(arguments: UInt32(0x80)...0x9f)
    func c1IsWrittenVisiblyAsACharacterAndAsAByte(value: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(value))
        let asCharacter = try #require(shown("a\(scalar)b"))
        #expect(!asCharacter.unicodeScalars.contains(scalar) && asCharacter.contains("\\"))
        #expect(shown([0x61, UInt8(value), 0x62]) == "a\\x\(String(value, radix: 16))b")
    }

    @Test(arguments: ["\u{61c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}"])
    func bidirectionalControlsAreWrittenVisibly(control: String) throws {
        let text = try #require(shown("a\(control)b"))
        #expect(!text.unicodeScalars.contains(where: { control.unicodeScalars.contains($0) }))
        #expect(text.contains("\\u{"))
    }

    @Test(
        arguments: [
            ([0xff], "\\xff"), ([0xc0, 0xaf], "\\xc0\\xaf"), ([0x61, 0xe2, 0x82, 0x62], "a\\xe2\\x82b"),
            ([0xed, 0xa0, 0x80], "\\xed\\xa0\\x80"), ([0xf5, 0x80, 0x80, 0x80], "\\xf5\\x80\\x80\\x80"),
            ([0xc3, 0xa4, 0xff, 0xc3, 0xa4], "ä\\xffä"), ([0xf0, 0x9f, 0x98], "\\xf0\\x9f\\x98"), ([0x80], "\\x80"),
            ([0xf4, 0x90, 0x80, 0x80], "\\xf4\\x90\\x80\\x80"), ([0xe0, 0x80, 0x80], "\\xe0\\x80\\x80"),
        ] as [([UInt8], String)])
    func whatIsNoUTF8IsShownByteByByte(bytes: [UInt8], text: String) {
        #expect(shown(bytes) == text)
    }

    @Test(arguments: ["ä", "€", "😀", "aä", "已b", "x😀y", "ä€😀"])
    func aCharacterCutAnywhereIsHeldUntilItsRestArrives(text: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var display = Display(.text)
            let first = display.text(for: Array(bytes[..<cut]))
            let second = display.text(for: Array(bytes[cut...]))
            #expect((first ?? "") + (second ?? "") == text, "cut at \(cut)")
            #expect(display.rest() == nil)
        }
    }

    @Test(arguments: ["ä€😀", "hello 已收到信息", "\u{10ffff}\u{800}\u{80}\u{7ff}\u{ffff}\u{10000}"])
    func charactersThatComeByteByByteAreShownWhole(text: String) {
        var display = Display(.text)
        let shown = text.utf8.compactMap { display.text(for: [$0]) }
        let whole = text.unicodeScalars.map {
            $0.isUnsafeForDisplay ? "\\u{\(String($0.value, radix: 16))}" : String($0)
        }
        #expect(shown == whole)
    }

    @Test func whatIsHeldIsShownAsBytesWhenNothingMoreComes() {
        var display = Display(.text)
        #expect(display.text(for: [0x61, 0xe2, 0x82]) == "a")
        #expect(display.rest() == "\\xe2\\x82")
        #expect(display.rest() == nil)
    }

    @Test func whatDoesNotContinueTheHeldCharacterIsShownBesideIt() {
        var display = Display(.text)
        #expect(display.text(for: [0xe2, 0x82]) == nil)
        #expect(display.text(for: Array("ab".utf8)) == "\\xe2\\x82ab")
    }

    @Test func anyBytesCutAnywhereShowTheSame() {
        var generator = SystemRandomNumberGenerator()
        let interesting: [UInt8] = [0x41, 0x80, 0xbf, 0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0xff, 0x82, 0xac]
        for _ in 0..<2000 {
            let bytes = (0..<6).map { _ in interesting.randomElement(using: &generator) ?? 0 }
            let whole = shown(bytes) ?? ""
            let cut = Int.random(in: 0...6, using: &generator)
            var display = Display(.text)
            let parts = [
                display.text(for: Array(bytes[..<cut])), display.text(for: Array(bytes[cut...])), display.rest(),
            ]
            #expect(parts.compactMap(\.self).joined() == whole, "\(bytes) cut at \(cut)")
        }
    }

    @Test func hexIsTwoDigitsForEachByte() {
        var display = Display(.hex)
        #expect(display.text(for: [0, 0x0a, 0x41, 0xff]) == "00 0a 41 ff")
        #expect(display.rest() == nil)
    }

    @Test func noneShowsNothing() {
        var display = Display(.none)
        #expect(display.text(for: Array("hello".utf8)) == nil)
        #expect(display.rest() == nil)
    }

    @Test func aTerminalGetsLinesAndTabsAndNothingElseThatItWouldActOn() {
        #expect(shown("a\nb\r\nc\td\n", keepsLines: true) == "a\nb\r\nc\td\n")
        #expect(shown("a\rb\u{1b}[31m\n", keepsLines: true) == "a\\rb\\x1b[31m\n")
        #expect(shown("\u{7}\u{0}", keepsLines: true) == "\\x07\\x00")
    }

    @Test func aLineEndCutInTwoReachesATerminalWhole() {
        var display = Display(.text, keepsLines: true)
        let parts = [display.text(for: Array("a\r".utf8)), display.text(for: Array("\nb".utf8)), display.rest()]
        #expect(parts.compactMap(\.self).joined() == "a\r\nb")
    }
}

extension Unicode.Scalar {
    /// C1 is all of what this suite's own words hold that is written visibly.
    fileprivate var isUnsafeForDisplay: Bool { (0x80...0x9f).contains(value) }
}
