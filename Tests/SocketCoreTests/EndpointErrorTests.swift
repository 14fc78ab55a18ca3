import SocketCore
import Testing
import TestSupport

/// Every way to write an endpoint wrong: where the error points, and that it says what would be right.
@Suite(.inTurn) struct EndpointErrorTests {
    @Test(arguments: [
        ("", 0, "empty"), ("localhost", 9, "port is missing"), ("127.0.0.1", 9, "port is missing"),
        ("localhost:", 10, "port is missing"), (":", 1, "port is missing"), ("tcp://", 6, "port is missing"),
        ("127.0.0.1:65536", 10, "65535"), ("127.0.0.1:-1", 10, "no port"), ("127.0.0.1:+80", 10, "without a sign"),
        ("127.0.0.1:080", 10, "leading zeros"), ("127.0.0.1:00", 10, "leading zeros"), ("127.0.0.1:８０", 10, "no port"),
        ("127.0.0.1:80 ", 10, "no port"), ("127.0.0.1: 80", 10, "no port"), ("127.0.0.1:0x50", 10, "no port"),
        ("127.0.0.1:8_0", 10, "no port"), ("127.0.0.1:80//", 10, "no port"), ("127.0.0.1:/", 10, "no port"),
        ("127.0.0.1:http", 10, "no port"),
        ("127.0.0.1:99999999999999999999999", 10, "no port"), ("tcp://127.0.0.1:080", 16, "leading zeros"),
        ("127.0.0.1:80\0", 10, "no port"), ("127.0.0.1:\u{202e}80", 10, "no port"),
    ])
    func aPortIsReadStrictly(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("127.1:80", 0, "four numbers"), ("0x7f.1:80", 0, "four numbers"), ("2130706433:80", 0, "four numbers"),
        ("010.0.0.1:80", 0, "leading zeros"), ("0x7f000001:80", 0, "four numbers"), ("256.0.0.1:80", 0, "0 to 255"),
        ("1.2.3.0x4:80", 0, "four numbers"), ("1.2.3.4.:80", 0, "four numbers"), ("tcp://127.1:80", 6, "four numbers"),
        ("１２７.0.0.1:80", 0, "ASCII"), ("127.0.0.1\0:80", 9, "letters, digits"),
        ("[::1", 0, "bracket"), ("[::1]", 5, "port is missing"), ("[::1]80", 5, "port is missing"),
        ("[::1%]:80", 5, "interface"), ("[::1%nosuchif0]:80", 5, "nosuchif0"), ("[1.2.3.4]:80", 1, "no IPv6 address"),
        ("[]:80", 1, "no IPv6 address"), ("[::1\0]:80", 1, "no IPv6 address"), ("[localhost]:80", 1, "no IPv6 address"),
        ("[fe80::1%4294967296]:80", 9, "no interface"), ("[fe80::1%0]:80", 9, "no interface"),
        ("[::1]:080", 6, "leading zeros"), ("tcp://[::1", 6, "bracket"),
    ])
    func anAddressIsReadStrictly(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("::1", 0, "[::1]:PORT"), ("::1:80", 0, "in brackets"), ("fe80::1", 0, "[fe80::1]:PORT"),
        ("tcp://::1", 6, "[::1]:PORT"), ("udp://2001:db8::1", 6, "[2001:db8::1]:PORT"), ("1:2:3", 3, "second colon"),
        ("localhost:80:81", 12, "second colon"), ("fe80::1%eth0", 0, "[fe80::1%eth0]:PORT"),
        ("1:2:3:4:5:6:7:8", 0, "[1:2:3:4:5:6:7:8]:PORT"), ("fe80::1%nosuchif0:80", 8, "nosuchif0"),
        ("1:2:3:4:5:6:7:8:080", 16, "leading zeros"),
    ])
    func anIPv6AddressWithoutBracketsIsToldHowToBeWritten(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("gopher://a:80", 0, "there are tcp, udp, unix, unix-dgram"), ("tpc6://a:80", 0, "unknown scheme"),
        ("tc://a:80", 0, "did you mean \"tcp\"?"), ("upd1://a:1", 0, "unknown scheme"),
        ("TCP://a:80", 0, "lower case: tcp"),
        ("unx:///a", 0, "did you mean \"unix\"?"), ("Unix:///a", 0, "lower case: unix"),
        ("unix-datagram:///a", 0, "unknown scheme"), ("unix-dgrm:///a", 0, "did you mean \"unix-dgram\"?"),
        ("://a:80", 0, "unknown scheme"), ("unix://a.sock", 7, "unix:PATH"), ("unix-dgram://a", 13, "unix-dgram:PATH"),
        ("unix://", 7, "starts with /"), ("udp:127.0.0.1:5", 4, "write udp://127.0.0.1:5"),
        ("tcp:localhost:80", 4, "write tcp://localhost:80"), ("udp:[::1]:5", 4, "write udp://[::1]:5"),
        ("UDP:127.0.0.1:5", 0, "lower case: udp"),
    ])
    func anUnknownSchemeIsToldTheNearest(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("/a?bcklog=1", 3, "did you mean \"backlog\"?"), ("/a?backlgo=1", 3, "did you mean \"backlog\"?"),
        ("/a?back=1", 3, "did you mean \"backlog\"?"), ("/a?zzzzzz=1", 3, "there are backlog, duplex"),
        ("/a?", 3, "unknown key \"\""),
        ("/a?backlog=1&", 13, "unknown key"),
        ("/a?backlog", 10, "backlog=VALUE"), ("/a?backlog=1&backlog=2", 13, "twice"),
        ("/a?duplex=%4", 10, "two hexadecimal"),
        ("/a?duplex=%00", 10, "zero byte"), ("/a?Backlog=1", 3, "did you mean \"backlog\"?"),
        ("/a?=1", 3, "unknown key"),
        ("127.0.0.1:80?dplx=1", 13, "did you mean \"duplex\"?"), ("/a?duplex=a?b=c&x=1", 16, "unknown key \"x\""),
    ])
    func anUnknownKeyIsToldTheNearest(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("/a%", 2, "two hexadecimal"), ("/a%4", 2, "two hexadecimal"), ("/a%zz", 2, "%25"),
        ("/a%+1", 2, "two hexadecimal"),
        ("/a%00", 2, "zero byte"), ("/a\0b", 2, "zero byte"), ("unix://@a%00", 9, "zero byte"),
        ("unix://@", 7, "name is missing"),
        ("unix://@\0a", 8, "zero byte"), ("unix:", 5, "path is missing"), ("unix:%00", 5, "zero byte"),
        ("@a", 0, "unix://@NAME"), ("@a:80", 0, "letters, digits"), ("a.sock", 6, "port is missing"),
    ])
    func aPathOrNameIsReadStrictly(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("bücher.example:80", 1, "xn--"), ("\u{202e}moc:80", 0, "xn--"), ("a b:80", 1, "letters, digits"),
        ("a..b:80", 0, "between two dots"), (".a:80", 0, "between two dots"), ("a/b:80", 1, "letters, digits"),
        ("a%41:80", 1, "letters, digits"), ("user@host:80", 4, "letters, digits"), ("a\n:80", 1, "letters, digits"),
        ("localhost。:80", 9, "xn--"),
    ])
    func aHostNameHasLettersDigitsHyphensAndDots(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test func whatIsTooLongIsRefused() {
        expectError("/" + String(repeating: "p", count: 107), 0, "108 bytes")
        expectError("unix:" + String(repeating: "p", count: 108), 5, "108 bytes")
        expectError("unix://@" + String(repeating: "n", count: 108), 7, "108 bytes")
        // Letters of several bytes.
        expectError("/" + String(repeating: "嗨", count: 36), 0, "109 bytes")
        let label = String(repeating: "a", count: 63)
        let name = [label, label, label, String(repeating: "b", count: 62)].joined(separator: ".")
        #expect(name.count == 254)
        expectError(name + ":80", 0, "253")
        expectError(String(repeating: "a", count: 64) + ".example:80", 0, "63")
        expectError(String(repeating: "a", count: 300) + ":80", 0, "253")
    }

    @Test(arguments: [("localhost:80", "name"), (":80", "port alone"), ("-", "port is missing"), ("", "empty")])
    func aSocketAddressIsNeverAName(text: String, reason: String) throws {
        let error = try #require(throws: EndpointError.self) { try SocketAddress(text) }
        #expect(error.reason.contains(reason))
    }

    @Test func theSentenceQuotesTheTextAndCountsFromOne() throws {
        let error = try #require(throws: EndpointError.self) { try Endpoint("127.0.0.1:080") }
        #expect(error.text == "127.0.0.1:080")
        #expect(error.description.hasPrefix("bad endpoint \"127.0.0.1:080\", at character 11: "))
    }

    @Test func theSentenceCountsCharactersAsAPersonDoes() throws {
        let error = try #require(throws: EndpointError.self) { try Endpoint("/嗨/é%zz") }
        #expect(error.position == "/嗨/é".utf8.count)
        #expect(error.description.contains("at character 5:"))
    }

    @Test(arguments: [
        "\u{1b}[31m:80", "\u{202e}moc.elpmaxe:80", "a\r\n:80", "\u{9b}2J://a", "/a?\u{1b}]0;x\u{7}=1", "[\u{1b}c]:80",
        "127.0.0.1:\u{1b}[A", "[::1%\u{1b}[A]:80", "a:\u{2066}",
    ])
    func theSentenceIsSafeForATerminal(text: String) throws {
        let error = try #require(throws: EndpointError.self) { try Endpoint(text) }
        #expect(isSafeForTerminal(error.description))
    }
}

func expectError(
    _ text: String, _ position: Int, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    do {
        let endpoint = try Endpoint(text)
        Issue.record("\(text.debugDescription) was read as \(endpoint)", sourceLocation: sourceLocation)
    } catch {
        #expect(error.position == position, "\(error)", sourceLocation: sourceLocation)
        #expect(error.reason.contains(reason), "\(error)", sourceLocation: sourceLocation)
        #expect(error.text == text, sourceLocation: sourceLocation)
    }
}
