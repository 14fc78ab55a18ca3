import SocketCore
@testable import PierKit
import Testing
import TestSupport

/// The values that flags take.
@Suite(.inTurn) struct ValuesTests {
    @Test(arguments: [
        ("500ms", Duration.milliseconds(500)), ("2s", .seconds(2)), ("5m", .seconds(300)), ("1h", .seconds(3600)),
        ("0s", .zero), ("2", .seconds(2)), ("0", .zero), ("1.5", .milliseconds(1500)), ("1.5s", .milliseconds(1500)),
        ("0.25ms", .microseconds(250)), ("1.000001h", .microseconds(3_600_003_600)), ("1m30s", .seconds(90)),
        ("1h2m3s4ms", .milliseconds(3_723_004)), ("1m0.5s", .milliseconds(60_500)), ("90m", .seconds(5400)),
        ("999999999.999999h", .nanoseconds(3_600_000_000_000) * 999_999_999 + .nanoseconds(3_599_996_400_000)),
    ])
    func aTimeSpanIsNumbersWithTheirUnitsOrSeconds(text: String, duration: Duration) {
        #expect(TimeSpan(argument: text) == TimeSpan(duration))
    }

    @Test func aTimeSpanCanBeOff() {
        #expect(TimeSpan(argument: "off") == TimeSpan(nil))
    }

    @Test(arguments: [
        "", "s", "ms", "+5s", "-5s", "05s", "5 s", " 5s", "5s ", "5.s", ".5s", "1.5.5s", "1.5m3s", "1m30", "30s1m",
        "1s1s",
        "1.1234567s", "1,5s", "05", "5.", "1e3s", "5d", "5S", "OFF", "5sm", "0x5s",
        "٥s", "５s", "99999999999999999999s", "18446744073709551616ms", "5\0s",
    ])
    func aTimeSpanIsReadStrictly(text: String) {
        #expect(TimeSpan(argument: text) == nil)
    }

    @Test(arguments: [("1", 1), ("80", 80), ("65536", 65536)])
    func aCountIsAWholeNumber(text: String, value: Int) {
        #expect(Count(argument: text) == Count(value))
    }

    @Test(arguments: [
        "0", "", "-1", "+80", "080", "1.0", "1k", " 1", "1 ", "0x10", "٣", "９", "99999999999999999999",
        "9223372036854775807",
    ])
    func aCountIsReadStrictlyAndIsAboveZero(text: String) {
        #expect(Count(argument: text) == nil)
    }

    @Test(arguments: [("1", 1), ("1073741825", 1_073_741_825), ("9223372036854775807", Int.max)])
    func aNumberOfBytesMayBeLarge(text: String, value: Int) {
        #expect(ByteCount(argument: text)?.value == value)
    }

    @Test(arguments: ["0", "", "-1", "+1", "01", "1e3", "1k", "9223372036854775808"])
    func aNumberOfBytesIsReadStrictly(text: String) {
        #expect(ByteCount(argument: text) == nil)
    }

    @Test(
        arguments: [
            ("a", [0x61]), (#"\n"#, [0x0a]), (#"\r\n"#, [0x0d, 0x0a]), (#"\t\0"#, [0x09, 0x00]),
            (#"\\n"#, [0x5c, 0x6e]),
            (#"\xff\x0A"#, [0xff, 0x0a]), (#"\x411"#, [0x41, 0x31]), ("水", [0xe6, 0xb0, 0xb4]), ("\n", [0x0a]),
            (" ", [0x20]),
        ] as [(String, [UInt8])])
    func aTextMayHaveEscapes(text: String, bytes: [UInt8]) {
        #expect(EscapedText(argument: text)?.bytes == bytes)
    }

    @Test(arguments: ["", #"\"#, #"a\"#, #"\q"#, #"\x"#, #"\x4"#, #"\xg0"#, #"\x+1"#, #"\x１２"#, #"\N"#, #"\u{41}"#])
    func anEscapeIsReadStrictly(text: String) {
        #expect(EscapedText(argument: text) == nil)
    }

    @Test(arguments: [("0.5s..1.5s", 500, 1500), ("1..2", 1000, 2000), ("100ms..1m30s", 100, 90_000)])
    func aBackoffIsTwoTimeSpans(text: String, shortest: Int, longest: Int) {
        let backoff = Backoff(argument: text)
        #expect(backoff?.shortest == .milliseconds(shortest))
        #expect(backoff?.longest == .milliseconds(longest))
    }

    @Test(arguments: [
        ("127.0.0.9", "127.0.0.9:0"), ("127.0.0.9:4000", "127.0.0.9:4000"), ("::1", "[::1]:0"), ("[::1]", "[::1]:0"),
        ("[::1]:4000", "[::1]:4000"), ("::1:80", "[::0.1.0.128]:0"), ("fe80::1%lo", "[fe80::1%lo]:0"),
        ("[fe80::1%lo]", "[fe80::1%lo]:0"), ("fe80::1%lo:80", "[fe80::1%lo]:80"), ("::ffff:1.2.3.4", "1.2.3.4:0"),
        ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:0"),
    ])
    func aSourceIsAnAddressWithAPortOrWithout(text: String, address: String) throws {
        let expected = try SocketAddress(address)
        #expect(Source(argument: text)?.address == expected)
    }

    @Test(arguments: [
        "", "localhost", ":80", "/a", "@a", "[::1", "::1]", "127.1", "fe80::1%nosuchif0", "127.0.0.1:080",
    ])
    func aSourceIsReadStrictly(text: String) {
        #expect(Source(argument: text) == nil)
    }

    @Test(arguments: ["", "1s", "1s..", "..1s", "1s...2s", "2s..1s", "0s..1s", "off..1s", "1s..off", "1...2", "1s-2s"])
    func aBackoffIsReadStrictly(text: String) {
        #expect(Backoff(argument: text) == nil)
    }
}

/// The language of the dialogue.
@Suite(.inTurn) struct LanguageTests {
    @Test(arguments: ["zh", "zh_CN.UTF-8", "zh_TW", "zh-Hans", "zh_HK.big5hkscs", "zh@pinyin", "zh.UTF-8"])
    func aChineseLocaleSpeaksChinese(locale: String) {
        #expect(Language.of(locale: locale) == .chinese)
    }

    @Test(arguments: ["C", "POSIX", "C.UTF-8", "en_US.UTF-8", "de_DE", "", "za_CN", "z", "zhu", "en_zh", "_zh"])
    func anyOtherLocaleSpeaksEnglish(locale: String) {
        #expect(Language.of(locale: locale) == .english)
    }

    @Test func theWordsAreTheTutorials() {
        #expect(Language.chinese.received == "已收到信息-->")
        #expect(Language.chinese.reply == "已收到回应-->")
        #expect(Language.english.received == "received-->")
        #expect(Language.english.reply == "reply-->")
    }
}
