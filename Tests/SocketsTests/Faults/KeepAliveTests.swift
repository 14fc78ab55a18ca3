import Sockets
import TestSupport
import Testing

@Suite("B10: asking a silent peer whether it is still there")
struct KeepAliveTests {
    @Test(arguments: [
        (Duration.seconds(60), 60, 20), (.milliseconds(1), 1, 1), (.milliseconds(2500), 3, 1),
        (.seconds(1 << 40), 32767, 10922),
    ])
    func theKernelIsToldTheTimes(_ silence: Duration, _ idle: Int, _ interval: Int) async throws {
        try await trial(over: .tcp4) { (_, client, server, _) async throws in
            #expect(try !client.option(.keepAlive))
            try client.setKeepAlive(after: silence)
            #expect(try client.option(.keepAlive))
            #expect(try client.option(.keepAliveIdle) == idle)
            #expect(try client.option(.keepAliveInterval) == interval)
            #expect(try client.option(.keepAliveCount) == 3)
            try client.setKeepAlive(after: nil)
            #expect(try !client.option(.keepAlive))
            try client.setOption(.userTimeout, to: 5000)
            #expect(try client.option(.userTimeout) == 5000)
        }
    }

    @Test func aUnixPeerNeedsNoAsking() async throws {
        try await trial(over: .unix) { (_, client, server, _) async throws in
            try client.setKeepAlive(after: .seconds(1))
            #expect(try !client.option(.keepAlive))
        }
    }

    @Test(arguments: Kind.allCases)
    func aClosedConnectionSaysSo(_ kind: Kind) async throws {
        try await trial(over: kind) { (_, client, server, _) async throws in
            client.close()
            #expect(try await cause { try client.setKeepAlive(after: .seconds(1)) } == .closed)
        }
    }
}
