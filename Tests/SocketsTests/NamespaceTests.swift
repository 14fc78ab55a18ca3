import Sockets
import TestSupport
import Testing

/// The networks that tests of faults are run in.
@Suite(.inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .timeLimit(.minutes(10)))
struct NamespaceTests {
    @Test(arguments: Face.allCases, ["10.77.0.2", "[fd77::2]", "[fe80::2%v1]"])
    func aClientReachesAServerOverTheCable(_ face: Face, _ host: String) async throws {
        try await within {
            try await inNetwork { network in
                // A link-local address names the interface through which it is reached.
                let place = host.hasPrefix("[fe80") ? "[fe80::2%v2]" : host
                let listener = try await network.server.onThread { try Listener(on: "\(place):8520") }
                defer { listener.close() }
                let connection = try await network.client.connect(to: "\(host):8520", by: face)
                let ours = host.prefix { $0 != "%" && $0 != "]" }.dropLast() + "1"
                #expect("\(try connection.localAddress)".hasPrefix(ours))
                connection.close()
            }
        }
    }

    @Test(arguments: Face.allCases)
    func aNamespaceHasPortsOfItsOwn(_ face: Face) async throws {
        try await within {
            let listener = try Listener(on: "127.0.0.1:0")
            defer { listener.close() }
            try await inNamespace { namespace in
                let ended = try await cause { try await namespace.connect(to: "\(listener.address)", by: face) }
                #expect(ended == .system(.connectionRefused))
            }
        }
    }

    @Test func aRuleIsForOneNamespace() async throws {
        try await within {
            try await inNamespace { namespace in
                try namespace.outgoing("ip daddr 127.0.0.9 reject with icmp type host-unreachable")
                try namespace.set("net.ipv4.ip_local_port_range", "32768 32777")
                let ended = try await cause { try await namespace.connect(to: "127.0.0.9:9", by: .thread) }
                #expect(ended == .system(.noRouteToHost))
            }
            #expect(try await cause { try await Connection(to: "127.0.0.9:9") } != .system(.noRouteToHost))
        }
    }

    @Test func whatFailsIsToldInTheToolsWords() async throws {
        try await inNamespace { namespace in
            _ = #expect { try namespace.ip("link", "set", "nothing", "up") } throws: { "\($0)".contains("nothing") }
        }
    }
}
