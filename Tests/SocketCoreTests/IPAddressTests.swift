import SocketCore
import TestSupport
import Testing

@Suite(.inTurn) struct IPv4AddressTests {
    @Test(
        arguments: [
            ("127.0.0.1", 0x7f00_0001), ("0.0.0.0", 0), ("255.255.255.255", 0xffff_ffff), ("1.2.3.4", 0x0102_0304),
            ("10.0.200.30", 0x0a00_c81e),
        ] as [(String, UInt32)])
    func fourDecimalNumbersAreAnAddress(text: String, value: UInt32) {
        #expect(IPv4Address(text)?.value == value)
        #expect(IPv4Address(value: value).description == text)
    }

    // What inet_aton(3) takes, and what a check by eye or by a regular expression lets through.
    @Test(arguments: [
        "127.1", "0x7f.1", "0x7f.0.0.1", "2130706433", "010.0.0.1", "127.0.0.01", "1.2.3", "1.2.3.4.5", "1.2.3.4.",
        ".1.2.3.4", "1..3.4", "256.1.1.1", "1.2.3.-4", "+1.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\n", "1.2.3.4:80",
        "１.2.3.4", "١.2.3.4", "127.0.0.1\0", "127.0.0.1\0.example", "\0", "", "localhost", "1,2,3,4", "1.2.3.0x4",
        "99999999999999999999.0.0.1", "::1",
    ])
    func anythingElseIsNoAddress(text: String) {
        #expect(IPv4Address(text) == nil)
    }

    @Test func anyAddressPrintsSoThatItParsesBack() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<10_000 {
            let address = IPv4Address(value: UInt32.random(in: 0...(.max), using: &random))
            #expect(IPv4Address(address.description) == address)
        }
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.255.254", true), ("127.0.0.5", true), ("126.255.255.255", false),
        ("128.0.0.1", false), ("0.0.0.0", false), ("10.0.0.1", false),
    ])
    func loopbackIsAllThatBeginsWith127(text: String, isLoopback: Bool) {
        #expect(IPv4Address(text)?.isLoopback == isLoopback)
    }

    @Test func theNamedAddressesAreWhatTheirNamesSay() {
        #expect(IPv4Address.loopback.description == "127.0.0.1")
        #expect(IPv4Address.any.description == "0.0.0.0")
    }
}

@Suite(.inTurn) struct IPv6AddressTests {
    // The left is what a person may write, the right what RFC 5952 recommends.
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1"), ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("fe80::", "fe80::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("::ffff:102:304", "::ffff:1.2.3.4"),
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ("FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func anAddressPrintsAsRecommended(text: String, printed: String) {
        #expect(IPv6Address(text)?.description == printed)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1::", "1::2::3", ":1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:", "12345::", "::g", "[::1]", "[::1", "::1]", "::1%", "::1%lo", "fe80::1%eth0", "::1 ", " ::1",
        "::1\0", "::\0" + "1", "::1\n", "::ffff:1.2.3", "::ffff:1.2.3.04", "::ffff:256.1.1.1", "::1.2.3.4:5", "::-1",
        "::+1", "::0x1", "::１", "1.2.3.4", "2001:db8::1/64",
    ])
    func anythingElseIsNoAddress(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test func anyAddressPrintsSoThatItParsesBack() {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<10_000 {
            // Many zeros, or runs of them would never be met.
            let words = (0..<8).map { _ in random.oneIn(2) ? 0 : UInt64.random(in: 0...0xffff, using: &random) }
            let high = words[..<4].reduce(0) { $0 << 16 | $1 }
            let low = words[4...].reduce(0) { $0 << 16 | $1 }
            let address = IPv6Address(high: high, low: low)
            let printed = address.description
            #expect(IPv6Address(printed) == address)
            #expect(printed == printed.lowercased())
        }
    }

    @Test func itsHalvesHoldTheBytesInTheOrderTheyAreWritten() {
        let address = IPv6Address("0102:304:506:708:90a:b0c:d0e:f10")
        #expect(address?.high == 0x0102_0304_0506_0708)
        #expect(address?.low == 0x090a_0b0c_0d0e_0f10)
    }

    @Test(arguments: [
        ("fe80::1", true), ("febf:ffff::", true), ("fec0::", false), ("fe7f::1", false), ("::1", false),
        ("ff02::1", false),
    ])
    func linkLocalIsFe80SlashTen(text: String, isLinkLocal: Bool) {
        #expect(IPv6Address(text)?.isLinkLocal == isLinkLocal)
    }

    @Test(arguments: [("::1", true), ("::", false), ("::2", false), ("1::1", false), ("::ffff:127.0.0.1", false)])
    func loopbackIsOneAddress(text: String, isLoopback: Bool) {
        #expect(IPv6Address(text)?.isLoopback == isLoopback)
    }

    @Test(arguments: [
        ("::ffff:1.2.3.4", "1.2.3.4"), ("::ffff:0:0", "0.0.0.0"), ("::1.2.3.4", nil), ("::fffe:1.2.3.4", nil),
        ("1::ffff:1.2.3.4", nil), ("64:ff9b::1.2.3.4", nil),
    ])
    func onlyAMappedAddressHasAnIPv4AddressInside(text: String, inside: String?) {
        #expect(IPv6Address(text)?.mappedIPv4?.description == inside)
    }
}
