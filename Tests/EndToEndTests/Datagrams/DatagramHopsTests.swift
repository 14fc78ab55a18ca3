import TestSupport
import Testing

/// What a program on the other side sees of the rule by which two servers fall silent: an answer has one hop less than its
/// question had left.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramHopsTests {
    @Test(arguments: models, ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://:0"])
    func anAnswerHasOneHopLess(model: String, endpoint: String) async throws {
        try await servingDatagrams("echo", at: [endpoint], "--show", "none", "--model", model) { server in
            let families = endpoint.contains("::1") ? [true] : endpoint == "udp://:0" ? [false, true] : [false]
            let peers = try families.map { try HopsPeer(to: server.port(), isIPv6: $0) }
            for hops in [64, 64, 30, 255, 2, 64, 30, 1, 64] {
                for peer in peers {
                    try peer.send([1], hops: hops)
                    try peer.send([2], hops: 64)
                    #expect(try await peer.hops(of: hops == 1 ? 1 : 2) == (hops == 1 ? [2: 63] : [1: hops - 1, 2: 63]))
                }
            }
            for peer in peers { #expect(!peer.hasNews) }
            try await server.end()
        }
    }
}
