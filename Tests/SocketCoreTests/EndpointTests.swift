import SocketCore
import Testing
import TestSupport

/// Every form of the grammar, and what it means.
@Suite(.inTurn) struct EndpointTests {
    @Test(
        arguments: [
            ("127.0.0.5:8520", .tcp, .ipv4(ip("127.0.0.5"), port: 8520)),
            ("tcp://127.0.0.5:8520", .tcp, .ipv4(ip("127.0.0.5"), port: 8520)),
            ("udp://127.0.0.5:7", .udp, .ipv4(ip("127.0.0.5"), port: 7)),
            ("0.0.0.0:0", .tcp, .ipv4(.any, port: 0)),
            ("127.0.0.1:65535", .tcp, .ipv4(.loopback, port: 65535)),
            ("[::1]:80", .tcp, .ipv6(.loopback, port: 80)),
            ("tcp://[::]:0", .tcp, .ipv6(.any, port: 0)),
            ("udp://[::1]:7", .udp, .ipv6(.loopback, port: 7)),
            // One peer, one name: what an IPv6 socket calls a mapped address is an IPv4 address.
            ("[::ffff:1.2.3.4]:80", .tcp, .ipv4(ip("1.2.3.4"), port: 80)),
            // The loopback interface is number 1 on every Linux.
            ("[fe80::1%lo]:80", .tcp, .ipv6(link, port: 80, zone: 1)),
            ("[fe80::1%25lo]:80", .tcp, .ipv6(link, port: 80, zone: 1)),
            ("[fe80::1%1]:80", .tcp, .ipv6(link, port: 80, zone: 1)),
            ("[fe80::1%251]:80", .tcp, .ipv6(link, port: 80, zone: 1)),
            ("udp://[fe80::1%25lo]:80", .udp, .ipv6(link, port: 80, zone: 1)),
            // Without brackets, where there is no doubt which colon is the port's.
            ("fe80::1%lo:80", .tcp, .ipv6(link, port: 80, zone: 1)),
            ("::ffff:1.2.3.4:80", .tcp, .ipv4(ip("1.2.3.4"), port: 80)),
            (
                "udp://1:2:3:4:5:6:7:8:9", .udp,
                .ipv6(IPv6Address(high: 0x1_0002_0003_0004, low: 0x5_0006_0007_0008), port: 9)
            ),
            // As URLs are often written.
            ("tcp://127.0.0.5:8520/", .tcp, .ipv4(ip("127.0.0.5"), port: 8520)),
            ("127.0.0.5:8520/", .tcp, .ipv4(ip("127.0.0.5"), port: 8520)),
            ("[::1]:80/", .tcp, .ipv6(.loopback, port: 80)),
        ] as [(String, Endpoint.Transport, SocketAddress)])
    func anAddressWithAPortNeedsNoResolving(
        text: String, transport: Endpoint.Transport, address: SocketAddress
    ) throws {
        let endpoint = try Endpoint(text)
        #expect(try endpoint == Endpoint(transport, .address(address)))
    }

    @Test(
        arguments: [
            ("localhost:80", .tcp, "localhost", 80), ("tcp://example.com:443", .tcp, "example.com", 443),
            ("udp://a-b_c.example.:1", .udp, "a-b_c.example.", 1), ("LOCALHOST:80", .tcp, "LOCALHOST", 80),
            ("tcp://localhost:1/", .tcp, "localhost", 1),
            ("xn--bcher-kva.example:80", .tcp, "xn--bcher-kva.example", 80),
            ("1.2.3.4.example:80", .tcp, "1.2.3.4.example", 80),
            ("3com:80", .tcp, "3com", 80), ("unix:80", .unix, nil, nil), ("tcp:80", .tcp, "tcp", 80),
        ] as [(String, Endpoint.Transport, String?, UInt16?)])
    func aNameIsKeptAsItIsWritten(text: String, transport: Endpoint.Transport, name: String?, port: UInt16?) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.transport == transport)
        if let name, let port {
            #expect(endpoint.place == .name(name, port: port))
        } else {
            // `unix:` is a scheme even without slashes, so this is a path and no port.
            #expect(unixPath(endpoint) == "80")
        }
    }

    @Test(
        arguments: [(":8520", .tcp, 8520), ("tcp://:0", .tcp, 0), ("udp://:7", .udp, 7)]
            as [(String, Endpoint.Transport, UInt16)])
    func aPortAloneNamesNoHost(text: String, transport: Endpoint.Transport, port: UInt16) throws {
        #expect(try Endpoint(text) == Endpoint(transport, .port(port)))
    }

    @Test(
        arguments: [
            ("/run/a.sock", .unix, "/run/a.sock"), ("unix:///run/a.sock", .unix, "/run/a.sock"),
            ("unix:/run/a.sock", .unix, "/run/a.sock"), ("unix-dgram:///run/a.sock", .unixDatagram, "/run/a.sock"),
            ("unix:a.sock", .unix, "a.sock"), ("unix:a/b.sock", .unix, "a/b.sock"), ("../a.sock", .unix, "../a.sock"),
            ("unix-dgram:a.sock", .unixDatagram, "a.sock"), ("/a:80", .unix, "/a:80"), ("/a/b%3Fc", .unix, "/a/b?c"),
            ("/100%25", .unix, "/100%"), ("/%41%6a%6A", .unix, "/Ajj"), ("unix:///a&b=c", .unix, "/a&b=c"),
            ("/嗨.sock", .unix, "/嗨.sock"), ("/%E5%97%A8", .unix, "/嗨"), ("/a%20b c", .unix, "/a b c"),
            ("unix:%40a", .unix, "@a"), ("/a://b", .unix, "/a://b"), ("/tcp://b", .unix, "/tcp://b"),
        ] as [(String, Endpoint.Transport, String)])
    func aPathIsAUnixSocket(text: String, transport: Endpoint.Transport, path: String) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.transport == transport)
        #expect(unixPath(endpoint) == path)
    }

    // The same file, so the same endpoint: what prints one as the other must not make two of it.
    @Test(arguments: [("./a.sock", "unix:a.sock"), ("unix:./a.sock", "unix:a.sock"), ("./.hidden", "unix:.hidden")])
    func aRelativePathIsTheSameWithItsDotAndWithout(dotted: String, plain: String) throws {
        #expect(try Endpoint(dotted) == Endpoint(plain))
    }

    @Test(
        arguments: [
            ("unix://@abstract", .unix, "abstract"), ("unix-dgram://@x", .unixDatagram, "x"),
            ("unix://@a/b:c@d", .unix, "a/b:c@d"),
            ("unix://@%3F%25", .unix, "?%"), ("unix://@嗨", .unix, "嗨"),
        ] as [(String, Endpoint.Transport, String)])
    func anAtMarksAnAbstractName(text: String, transport: Endpoint.Transport, name: String) throws {
        let address = try #require(UnixAddress(abstract: name))
        #expect(try Endpoint(text) == Endpoint(transport, .address(.unix(address))))
    }

    @Test func aHyphenIsStandardInputAndOutput() throws {
        #expect(try Endpoint("-").place == .standardStreams)
        #expect(try Endpoint("-?duplex=half")["duplex"]?.value == "half")
    }

    @Test func parametersStandBehindAQuestionMarkInTheirOrder() throws {
        let endpoint = try Endpoint("127.0.0.1:80?duplex=half&backlog=5")
        #expect(endpoint.parameters.map(\.key) == ["duplex", "backlog"])
        #expect(endpoint["backlog"]?.value == "5")
        #expect(endpoint["duplex"]?.value == "half")
        #expect(endpoint["nothing"] == nil)
    }

    @Test(arguments: [
        ("/a?duplex=", ""), ("/a?duplex=a=b", "a=b"), ("/a?duplex=%26%3F%25", "&?%"), ("/a?duplex=嗨", "嗨"),
        ("unix://@a?duplex=x", "x"), ("unix:a?duplex=x", "x"), (":80?duplex=x", "x"),
        ("[::1]:80?duplex=x://y", "x://y"),
    ])
    func aValueIsAllUpToTheNextAmpersand(text: String, value: String) throws {
        #expect(try Endpoint(text)["duplex"]?.value == value)
    }

    @Test func aVerbMayAllowKeysOfItsOwn() throws {
        #expect(try Endpoint("/a?linger=1", keys: ["linger"])["linger"]?.value == "1")
        #expect(throws: EndpointError.self) { try Endpoint("/a?linger=1") }
    }

    @Test func parametersAreTheSameWhereverTheyStand() throws {
        let short = try Endpoint("/a?backlog=1")
        let long = try Endpoint("unix:///a?backlog=1")
        #expect(short == long)
        #expect(Set([short, long]).count == 1)
    }

    @Test func thePlacesOfTheLongestPathAndNameAreTaken() throws {
        let path = "/" + String(repeating: "p", count: 106)
        #expect(unixPath(try Endpoint(path)) == path)
        let relative = String(repeating: "p", count: 107)
        #expect(unixPath(try Endpoint("unix:" + relative)) == relative)
        let name = String(repeating: "n", count: 107)
        #expect(try Endpoint("unix://@" + name).place == UnixAddress(abstract: name).map { .address(.unix($0)) })
        // It is the bytes that are counted, not the letters of their escapes.
        #expect(unixPath(try Endpoint("/" + String(repeating: "%41", count: 106)))?.utf8.count == 107)
    }

    @Test func theLongestHostNameIsTaken() throws {
        let label = String(repeating: "a", count: 63)
        let name = [label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")
        #expect(name.count == 253)
        #expect(try Endpoint(name + ":1").place == .name(name, port: 1))
    }
}

private let link = IPv6Address(high: 0xfe80_0000_0000_0000, low: 1)

private func ip(_ text: String) -> IPv4Address { IPv4Address(text) ?? .any }

private func unixPath(_ endpoint: Endpoint) -> String? {
    guard case .address(.unix(let address)) = endpoint.place else { return nil }
    return address.path
}
