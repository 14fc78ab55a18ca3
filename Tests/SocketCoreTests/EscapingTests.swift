import SocketCore
import Testing
import TestSupport

/// What may reach a terminal, and the nearest word.
@Suite(.inTurn) struct EscapingTests {
    @Test(arguments: [
        ("", ""), ("hello,world!", "hello,world!"), ("嗨 é 🛥", "嗨 é 🛥"), ("a\\b", "a\\b"),
        ("\0", "\\x00"), ("\u{7}", "\\x07"), ("\u{8}", "\\x08"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"),
        ("\u{b}", "\\x0b"), ("\u{1b}[2J", "\\x1b[2J"), ("\u{1f}", "\\x1f"), ("\u{7f}", "\\x7f"),
        ("\u{80}", "\\u{80}"), ("\u{85}", "\\u{85}"), ("\u{9b}31m", "\\u{9b}31m"), ("\u{9f}", "\\u{9f}"),
        ("\u{a0}", "\u{a0}"), ("\u{61c}", "\\u{61c}"), ("\u{200e}", "\\u{200e}"), ("\u{200f}", "\\u{200f}"),
        ("\u{200d}", "\u{200d}"), ("\u{2028}", "\\u{2028}"), ("\u{2029}", "\\u{2029}"), ("\u{202a}", "\\u{202a}"),
        ("\u{202e}abc\u{202c}", "\\u{202e}abc\\u{202c}"), ("\u{2066}", "\\u{2066}"), ("\u{2069}", "\\u{2069}"),
        ("\u{206a}", "\u{206a}"), ("a\r\nb", "a\\r\\nb"),
    ])
    func whatATerminalWouldActOnIsWrittenVisibly(text: String, safe: String) {
        #expect(text.escapedForTerminal() == safe)
        #expect(text[...].escapedForTerminal() == safe)
    }

    @Test(arguments: [("a\tb", "a\tb"), ("\t\n\u{1b}", "\t\\n\\x1b"), ("\u{9}", "\t")])
    func aTabMayBeKept(text: String, safe: String) {
        #expect(text.escapedForTerminal(keepingTab: true) == safe)
    }

    @Test func everyControlIsUnsafeAndNoOtherASCII() {
        for value in UInt8.min...0x9f {
            #expect(Unicode.Scalar(value).isUnsafeForTerminal == (value < 0x20 || value > 0x7e), "\(value)")
        }
    }

    @Test(arguments: [(0, "00"), (9, "09"), (15, "0f"), (16, "10"), (255, "ff")] as [(UInt8, String)])
    func aByteHasTwoDigits(byte: UInt8, digits: String) {
        #expect(twoHexDigits(byte) == digits)
    }

    @Test(
        arguments: [
            ("tcp", "tcp"), ("tc", "tcp"), ("tcpp", "tcp"), ("tdp", "tcp"), ("unx", "unix"), ("xinu", nil), ("", nil),
            ("unix-dgam", "unix-dgram"), ("unixdgrm", "unix-dgram"), ("unixdgr", nil), ("http", "tcp"), ("https", nil),
            ("utp", "udp"),
        ] as [(String, String?)])
    func theNearestWordIsAtMostTwoEditsAway(word: String, meant: String?) {
        #expect(nearest(to: word, in: ["tcp", "udp", "unix", "unix-dgram"]) == meant)
    }

    @Test func amongNoWordsNoneIsNear() {
        #expect(nearest(to: "tcp", in: []) == nil)
    }

    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("65535", 65535), ("18446744073709551615", .max), ("18446744073709551616", nil),
            ("", nil),
            ("00", nil), ("01", nil), ("+1", nil), ("-1", nil), (" 1", nil), ("1 ", nil), ("１", nil), ("1_0", nil),
            ("0x1", nil),
            ("99999999999999999999999999", nil), ("1\0", nil),
        ] as [(String, UInt64?)])
    func aNumberIsDigitsAlone(text: String, number: UInt64?) {
        #expect(strictNumber(text.utf8) == number)
    }
}
