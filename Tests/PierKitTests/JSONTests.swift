@testable import PierKit
import Testing
import TestSupport

/// The little JSON that is written and read here.
@Suite(.inTurn) struct JSONTests {
    @Test(arguments: (0...0x1f).map { UInt32($0) } + [0x7f, 0x80, 0x85, 0x9f, 0x61c, 0x2028, 0x202e, 0x2066])
    func aControlIsWrittenWithItsNumber(value: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(value))
        let short = ["\t": "\\t", "\n": "\\n", "\r": "\\r"] as [Unicode.Scalar: String]
        let digits = String(value, radix: 16)
        let long = "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        let written = JSON.string("a\(scalar)b").text
        #expect(written == "\"a\(short[scalar] ?? long)b\"")
        #expect(JSON(reading: written) == .string("a\(scalar)b"))
    }

    @Test(arguments: [
        ("", "\"\""), ("say \"hi\"", "\"say \\\"hi\\\"\""), ("a\\b", "\"a\\\\b\""), ("/", "\"/\""),
        ("已收到 ä €😀", "\"已收到 ä €😀\""), ("\r\n", "\"\\r\\n\""), ("e\u{301}\"", "\"e\u{301}\\\"\""),
        ("\u{fffd}\u{ffff}", "\"\u{fffd}\u{ffff}\""),
    ])
    func aTextIsQuoted(text: String, written: String) {
        #expect(JSON.string(text).text == written)
        #expect(JSON(reading: written) == .string(text))
    }

    @Test(arguments: [
        (0, "0.000000"), (999, "0.000000"), (1_000, "0.000001"), (1_000_000_000, "1.000000"),
        (1_763_827_509_123_456_789, "1763827509.123456"), (UInt64.max, "18446744073.709551"),
    ])
    func secondsHaveSixDigits(nanoseconds: UInt64, written: String) {
        #expect(JSON.seconds(nanoseconds).text == written)
    }

    @Test func whatIsWrittenIsReadBack() {
        let value = JSON.object([
            .init(name: "a\"\n", value: .array([.null, .bool(true), .bool(false), .integer(-1), .seconds(5)])),
            .init(name: "", value: .object([])), .init(name: "c", value: .array([])),
        ])
        #expect(JSON(reading: value.text) == value)
        #expect(value["c"]?.array == [])
        #expect(value["d"] == nil)
    }

    @Test(arguments: [" { \"a\" : [ 1 , 2.5e-3 ,\n{ } ] }\t", "\"\\u00e4\\ud83d\\ude00\\/\\b\\f\""])
    func spacesAndEscapesAreRead(text: String) {
        #expect(JSON(reading: text) != nil)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "\"a", "\"\\x\"", "\"\\ud83d\"", "\"\\u12\"", "nul", "1 2",
        "\"a\nb\"",
    ])
    func whatIsNoJSONIsNotRead(text: String) {
        #expect(JSON(reading: text) == nil)
    }
}
