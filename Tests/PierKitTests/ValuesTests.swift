@testable import PierKit
import Testing
import TestSupport

/// The values that flags take.
@Suite(.inTurn) struct ValuesTests {
    @Test(arguments: [
        ("500ms", Duration.milliseconds(500)), ("2s", .seconds(2)), ("5m", .seconds(300)), ("1h", .seconds(3600)),
        ("0s", .zero),
    ])
    func aTimeSpanIsANumberWithItsUnit(text: String, duration: Duration) {
        #expect(TimeSpan(argument: text) == TimeSpan(duration))
    }

    @Test func aTimeSpanCanBeOff() {
        #expect(TimeSpan(argument: "off") == TimeSpan(nil))
    }

    @Test(arguments: [
        "5", "", "s", "ms", "+5s", "-5s", "05s", "5 s", " 5s", "5s ", "5.0s", "1e3s", "5d", "5S", "OFF", "5sm", "0x5s",
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
