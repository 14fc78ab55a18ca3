import SocketCore
import Sockets
import TestSupport
import Testing

/// Answers from an IPv6 address that holds for one link only.
@Suite(.inTurn, .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), .timeLimit(.minutes(10)))
struct DatagramLinkLocalTests {
    /// The server is on every address; who asks may have another kind of address than the one he asks.
    @Test(arguments: ["[fd77::1]:0", "[fe80::1%v1]:0"])
    func itAnswersFromTheAddressThatWasAsked(_ source: String) async throws {
        try await within {
            try await inNetwork { network in
                let server = try await network.server.onThread { try DatagramSocket(on: "udp://[::]:8520") }
                let client = try await network.client.onThread {
                    try DatagramSocket(to: "udp://[fe80::2%v1]:8520", from: SocketAddress(source))
                }
                let serving = Task { try await server.serve(echoDatagrams) }
                try await client.ask([1], tries: 10) { $0 == [1] }
                server.close()
                try await serving.value
                client.close()
            }
        }
    }
}
