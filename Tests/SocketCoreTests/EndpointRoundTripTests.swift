import SocketCore
import TestSupport
import Testing

/// What holds for every endpoint: it prints so that it parses back, and no text whatever makes the parser trap.
@Suite(.inTurn) struct EndpointRoundTripTests {
    @Test(arguments: [
        ("127.0.0.5:8520", "tcp://127.0.0.5:8520"), ("localhost:80", "tcp://localhost:80"), (":80", "tcp://:80"),
        ("udp://:7", "udp://:7"), ("[0:0::1]:80", "tcp://[::1]:80"), ("[fe80::1%251]:80", "tcp://[fe80::1%lo]:80"),
        ("/run/a.sock", "unix:///run/a.sock"), ("./a.sock", "unix:./a.sock"), ("unix:a.sock", "unix:./a.sock"),
        ("unix://@a", "unix://@a"), ("unix-dgram:///a", "unix-dgram:///a"), ("unix-dgram:a", "unix-dgram:./a"),
        ("-", "-"),
        ("/a?duplex=half&backlog=5", "unix:///a?duplex=half&backlog=5"), ("/a%3fb", "unix:///a%3Fb"),
        ("/a b", "unix:///a%20b"), ("/100%25", "unix:///100%25"), ("-?duplex=half", "-?duplex=half"),
        ("unix:%40a", "unix:./@a"), ("unix:../a", "unix:../a"), ("/嗨", "unix:///嗨"),
        ("/a?duplex=%26", "unix:///a?duplex=%26"),
    ])
    func anEndpointPrintsInOneForm(text: String, printed: String) throws {
        #expect(try Endpoint(text).description == printed)
    }

    @Test func everyEndpointPrintsSoThatItParsesBack() throws {
        var random = SeededGenerator(seed: 8520)
        for _ in 0..<20_000 {
            let endpoint = try anyEndpoint(&random)
            let printed = endpoint.description
            do {
                let again = try Endpoint(printed)
                guard again == endpoint else {
                    Issue.record("\(printed) came back as \(again): \(endpoint.place) became \(again.place)")
                    return
                }
            } catch {
                Issue.record("\(printed.debugDescription) does not parse back: \(error)")
                return
            }
            #expect(isSafeForTerminal(printed), "\(printed.debugDescription)")
        }
    }

    @Test func parametersPrintSoThatTheyParseBack() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<5_000 {
            let value = String(String.UnicodeScalarView((0..<4).map { _ in anyScalar(&random) }))
            let escaped = value.utf8.map { byte in
                let digits = String(byte, radix: 16)
                return "%" + (digits.count == 1 ? "0" : "") + digits
            }
            let endpoint = try Endpoint("/a?duplex=" + escaped.joined())
            #expect(endpoint["duplex"]?.value == value)
            let printed = endpoint.description
            #expect(try Endpoint(printed) == endpoint, "\(printed.debugDescription)")
            #expect(isSafeForTerminal(printed), "\(printed.debugDescription)")
        }
    }

    @Test func aZoneWithoutAnInterfacePrintsSoThatItParsesBack() throws {
        // Among them those whose decimal digits begin as the escape of a percent sign does.
        for zone: UInt32 in [2, 25, 250, 251, 2512, 25_000, 4_000_000_025, .max] {
            let endpoint = try Endpoint(.ipv6(IPv6Address(high: 0xfe80 << 48, low: 1), port: 80, zone: zone))
            #expect(try Endpoint(endpoint.description) == endpoint, "\(endpoint)")
        }
    }

    @Test func aRelativePathOfAnyFormIsTheSamePathWhenItComesBack() throws {
        let paths = [
            "a", "./a", "././a", ".//a", "../a", ".../a", "..", ".", "./", "@a", "./@a", "-", "a:80", "//a", "/",
            "tcp://a",
            String(repeating: "p", count: 107), "./" + String(repeating: "p", count: 105), "a/", ".a", "..a",
        ]
        for path in paths {
            let address = SocketAddress.unix(try #require(UnixAddress(path: path)))
            #expect(try SocketAddress(address.description) == address, "\(path) printed as \(address)")
            for transport in [Endpoint.Transport.unix, .unixDatagram] {
                let endpoint = try Endpoint(transport, .address(address))
                #expect(try Endpoint(endpoint.description) == endpoint, "\(path) printed as \(endpoint)")
            }
        }
    }

    @Test func noTextMakesTheParserTrap() {
        var random = SeededGenerator(seed: 1)
        var read = 0
        for _ in 0..<50_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            read += survives(String(decoding: bytes, as: UTF8.self)) ? 1 : 0
        }
        #expect(read < 50_000)
    }

    @Test func noMutationOfAnEndpointMakesTheParserTrap() throws {
        var random = SeededGenerator(seed: 2)
        var read = 0
        for _ in 0..<50_000 {
            var bytes = Array(try anyEndpoint(&random).description.utf8)
            if random.oneIn(3) { bytes += Array("?duplex=half&backlog=1".utf8) }
            for _ in 0..<Int.random(in: 1...3, using: &random) { mutate(&bytes, &random) }
            read += survives(String(decoding: bytes, as: UTF8.self)) ? 1 : 0
        }
        // Some are endpoints still, and some are not; else the mutations would show nothing.
        #expect((1..<50_000).contains(read))
    }
}

/// Reads a text; what is read must print, and parse back; what is not must say so at a place within the text.
private func survives(_ text: String) -> Bool {
    _ = try? SocketAddress(text)
    do {
        let endpoint = try Endpoint(text)
        let again = try? Endpoint(endpoint.description)
        #expect(again == endpoint, "\(text.debugDescription) printed as \(endpoint.description.debugDescription)")
        return true
    } catch {
        #expect((0...text.utf8.count).contains(error.position), "\(text.debugDescription)")
        #expect(isSafeForTerminal(error.description))
        return false
    }
}

private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    let special = Array("[]%:/?&=@-.0+\0 x25'\"\\".utf8)
    let index = Int.random(in: 0...bytes.count, using: &random)
    switch Int.random(in: 0..<4, using: &random) {
    case 0: bytes.insert(special.randomElement(using: &random) ?? 0, at: index)
    case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
    case 2 where index < bytes.count: bytes.remove(at: index)
    default: bytes.removeSubrange(index...)
    }
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool { !isSafeForTerminal(String(Character(scalar))) }

private func anyEndpoint(_ random: inout SeededGenerator) throws -> Endpoint {
    let port = UInt16.random(in: 0...65535, using: &random)
    let ip: Endpoint.Transport = random.oneIn(2) ? .tcp : .udp
    let unix: Endpoint.Transport = random.oneIn(2) ? .unix : .unixDatagram
    switch Int.random(in: 0..<10, using: &random) {
    case 6: return try Endpoint(.descriptor, .descriptor(CInt.random(in: 0...(.max), using: &random)))
    case 7:
        let name = (0..<Int.random(in: 0...9, using: &random)).map { _ in
            Character(Unicode.Scalar(UInt8.random(in: 0x20...0x7e, using: &random)))
        }
        let plain = String(name.map { $0 == ":" ? "?" : $0 })
        return try Endpoint(.inherited, .inherited(name: plain.isEmpty ? nil : plain))
    case 8:
        let scalars = (0..<Int.random(in: 1...20, using: &random)).map { _ in anyScalar(&random) }
        guard let path = Endpoint.Path(String(String.UnicodeScalarView(scalars))) else {
            preconditionFailure("no scalar is zero")
        }
        return try Endpoint(.file, .file(path))
    case 9:
        let words = (0..<Int.random(in: 1...4, using: &random)).map { number in
            let scalars = (0..<Int.random(in: 0...9, using: &random)).map { _ in
                random.oneIn(3) ? ["'", "\"", "\\", " ", "$"].randomElement(using: &random) ?? "'" : anyScalar(&random)
            }
            let plain = scalars.filter { !isControl($0) }
            return String(String.UnicodeScalarView(number == 0 ? ["a"] + plain : plain))
        }
        guard let command = Endpoint.Command(words) else { preconditionFailure("\(words) is no command") }
        return try Endpoint(.program, .program(command))
    case 0:
        return try Endpoint(
            ip, .address(.ipv4(IPv4Address(value: UInt32.random(in: 0...(.max), using: &random)), port: port)))
    case 1:
        let high = UInt64.random(in: 0...(.max), using: &random)
        let low = random.oneIn(2) ? 0 : UInt64.random(in: 0...(.max), using: &random)
        let zone =
            random.oneIn(2)
            ? 0 : UInt32.random(in: 0...(.max), using: &random) >> UInt32.random(in: 0..<32, using: &random)
        return try Endpoint(ip, .address(.ipv6(IPv6Address(high: high, low: low), port: port, zone: zone)))
    case 2: return try Endpoint(ip, .port(port))
    case 3:
        let letters = Array("abcxyz019-_")
        let labels = (0..<Int.random(in: 1...4, using: &random)).map { _ in
            String(
                (0..<Int.random(in: 1...9, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" })
        }
        return try Endpoint(ip, .name(labels.joined(separator: ".") + ".example", port: port))
    default:
        let scalars = (0..<Int.random(in: 1...20, using: &random)).map { _ in anyScalar(&random) }
        let name = String(String.UnicodeScalarView(scalars))
        let address = random.oneIn(2) ? UnixAddress(path: name) : UnixAddress(abstract: name)
        // At most twenty scalars of four bytes each, and none of them zero.
        guard let address else { preconditionFailure("\(name.debugDescription) is no address") }
        return try Endpoint(unix, .address(.unix(address)))
    }
}

/// Never zero; mostly ASCII, with all that a grammar or a terminal takes for something else.
private func anyScalar(_ random: inout SeededGenerator) -> Unicode.Scalar {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: return ["/", ".", "@", "%", "?", "&", "=", ":", "-", "2", "5"].randomElement(using: &random) ?? "/"
    case 1:
        return ["\u{9b}", "\u{202e}", "\u{2066}", "\u{85}", "\u{2028}", "嗨", "é", "🛥"].randomElement(using: &random)
            ?? "é"
    default: return Unicode.Scalar(UInt8.random(in: 1...127, using: &random))
    }
}
