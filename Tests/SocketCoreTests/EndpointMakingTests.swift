import SocketCore
import TestSupport
import Testing

/// An endpoint that a program makes of its parts: it prints so that it parses back, or it cannot be made.
@Suite(.inTurn) struct EndpointMakingTests {
    @Test(arguments: [
        "::1", "[::1]", "127.0.0.1", "127.1", "0x7f", "1.2", "a b?x=y", "a b", "a?x=y", "a/b", "a:80", "", ".", "a..b",
        "@a",
        "-/", "%61", "a\n", "嗨", "a\u{0}", "tcp://a", String(repeating: "a", count: 64),
    ])
    func aNameThatIsNoHostsNameIsRefused(_ name: String) {
        for transport in Endpoint.Transport.allCases {
            let error = #expect(throws: EndpointError.self) { try Endpoint(transport, .name(name, port: 80)) }
            #expect(error?.reason.isEmpty == false)
            #expect(isSafeForTerminal(error?.description ?? "\n"))
        }
    }

    @Test func aTransportTakesItsOwnPlacesOnly() throws {
        let places: [(Endpoint.Place, [Endpoint.Transport])] = [
            (.address(try SocketAddress("127.0.0.1:80")), [.tcp, .udp]),
            (.address(try SocketAddress("[::1]:80")), [.tcp, .udp]),
            (.address(try SocketAddress("/run/a")), [.unix, .unixDatagram]),
            (.address(try SocketAddress("@a")), [.unix, .unixDatagram]),
            (.address(.unnamed), []),
            (.name("localhost", port: 80), [.tcp, .udp]),
            (.port(80), [.tcp, .udp]),
            (.standardStreams, [.tcp]),
            (.program(try #require(Endpoint.Command(["cat"]))), [.program]),
            (.file(try #require(Endpoint.Path("a"))), [.file]),
            (.descriptor(3), [.descriptor]),
            (.descriptor(-1), []),
            (.inherited(name: nil), [.inherited]),
            (.inherited(name: "a"), [.inherited]),
            (.inherited(name: ""), []),
            (.inherited(name: "a:b"), []),
            (.inherited(name: String(repeating: "a", count: 256)), []),
        ]
        for (place, transports) in places {
            for transport in Endpoint.Transport.allCases {
                let made = try? Endpoint(transport, place)
                #expect((made != nil) == transports.contains(transport), "\(transport) with \(place)")
                if let made { #expect(try Endpoint(made.description) == made) }
            }
        }
    }

    @Test func anIPv6AddressThatStandsForAnIPv4OneBecomesThat() throws {
        let mapped = IPv6Address(high: 0, low: 0xffff_7f00_0001)
        let plain = try Endpoint("127.0.0.1:80")
        #expect(try Endpoint(.tcp, .address(.ipv6(mapped, port: 80))) == plain)
        #expect(try Endpoint(.ipv6(mapped, port: 80, zone: 3)) == plain)
    }

    /// Of any transport, any kind of place and any words in it, good ones and bad.
    @Test func whateverCanBeMadePrintsAndParsesBack() throws {
        var random = SeededGenerator(seed: 19)
        var (made, refused) = (0, 0)
        for _ in 0..<60_000 {
            let transport = Endpoint.Transport.allCases.randomElement(using: &random) ?? .tcp
            let place = anyPlace(&random)
            do throws(EndpointError) {
                let endpoint = try Endpoint(transport, place)
                made += 1
                let printed = endpoint.description
                let again = try? Endpoint(printed)
                guard again == endpoint else {
                    Issue.record("\(transport) with \(place) printed as \(printed.debugDescription)")
                    return
                }
                #expect(isSafeForTerminal(printed), "\(printed.debugDescription)")
            } catch {
                refused += 1
                #expect((0...error.text.utf8.count).contains(error.position))
                #expect(isSafeForTerminal(error.description))
            }
        }
        // Else the trial would show nothing.
        #expect(made > 5_000 && refused > 5_000, "\(made) made, \(refused) refused")
    }
}

private func anyPlace(_ random: inout SeededGenerator) -> Endpoint.Place {
    let port = UInt16.random(in: 0...65535, using: &random)
    let text = anyText(&random)
    switch Int.random(in: 0..<10, using: &random) {
    case 0: return .address(.ipv4(IPv4Address(value: UInt32.random(in: 0...(.max), using: &random)), port: port))
    case 1:
        // Often one that stands for an IPv4 address, with a zone.
        let isMapped = random.oneIn(3)
        let low = UInt64.random(in: 0...(.max), using: &random)
        let address = IPv6Address(
            high: isMapped ? 0 : UInt64.random(in: 0...(.max), using: &random),
            low: isMapped ? 0xffff << 32 | low >> 32 : low)
        return .address(.ipv6(address, port: port, zone: random.oneIn(2) ? 0 : UInt32(truncatingIfNeeded: low)))
    case 2: return .port(port)
    case 3: return .standardStreams
    case 4: return .descriptor(CInt.random(in: (.min)...(.max), using: &random))
    case 5: return .inherited(name: random.oneIn(5) ? nil : text)
    case 6: return Endpoint.Path(text).map { .file($0) } ?? .address(.unnamed)
    case 7: return Endpoint.Command([text, anyText(&random)]).map { .program($0) } ?? .standardStreams
    case 8:
        let address = random.oneIn(2) ? UnixAddress(path: text) : UnixAddress(abstract: text)
        return .address(address.map { .unix($0) } ?? .unnamed)
    default: return .name(text, port: port)
    }
}

/// A word that a grammar takes for something else, or a few characters of any kind.
private func anyText(_ random: inout SeededGenerator) -> String {
    let words = [
        "", "::1", "[::1]", "127.0.0.1", "localhost", "a.example", "a b?x=y", "-", "@a", "./a", "../a", "/a", "//a",
        "tcp",
        "exec", "unix", "fd", "tcp://a", "a:80", "%2f", "%", "25", "0x1", "1.2.3", "unnamed", "a?duplex=half", "A-b_c.",
    ]
    if random.oneIn(3) { return words.randomElement(using: &random) ?? "" }
    let count = random.oneIn(50) ? 300 : Int.random(in: 0..<8, using: &random)
    return String(
        String.UnicodeScalarView(
            (0..<count).map { _ in
                switch Int.random(in: 0..<6, using: &random) {
                case 0: return ["\u{9b}", "\u{202e}", "\u{0}", "嗨", "\n", "]"].randomElement(using: &random) ?? "a"
                case 1: return Unicode.Scalar(UInt8.random(in: 0...127, using: &random))
                default: return ["a", "b", "z", "0", "9", "-", ".", "_"].randomElement(using: &random) ?? "a"
                }
            }))
}
