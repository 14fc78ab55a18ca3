import SocketCore
import Sockets
import SystemPackage
import TestSupport
import Testing

/// A connected socket has one sender, who may have no address: his answers need none.
@Suite("DatagramSocket: serving by a connected one", .inTurn, .timeLimit(.minutes(10)))
struct DatagramConnectedServingTests {
    /// A connected socket, and who is at its other end; as a pair where there is no kind.
    private func ends(_ kind: DatagramKind?) async throws -> (DatagramSocket, DatagramSocket) {
        guard let kind else { return try DatagramSocket.pair() }
        let other = try DatagramSocket(on: kind.endpoint)
        return (try await DatagramSocket(to: other.endpoint), other)
    }

    /// Whether what the other end sends comes back to it while `serve` runs.
    private func isEcho(
        _ kind: DatagramKind?, _ serve: @escaping @Sendable (DatagramSocket) async throws -> Void
    ) async throws {
        try await trial { _ in
            let (connected, other) = try await ends(kind)
            let address: SocketAddress? = kind == nil ? nil : try connected.localAddress
            let serving = Task { try await serve(connected) }
            for content in [[1], [], [2, 3]] as [[UInt8]] {
                try await other.send(content, to: address)
                #expect(try await other.receive().bytes == content)
            }
            connected.stopReceiving()
            try await serving.value
            connected.close()
            other.close()
        }
    }

    @Test(arguments: DatagramKind.allCases + [nil])
    func itsSessionAnswersTheOtherEnd(_ kind: DatagramKind?) async throws {
        try await isEcho(kind) { try await $0.serve(echoDatagrams) }
    }

    @Test(arguments: DatagramKind.allCases + [nil])
    func itAnswersWithoutSessionsToo(_ kind: DatagramKind?) async throws {
        try await isEcho(kind) { try await $0.serveDatagrams { $0.bytes } }
    }

    @Test(arguments: DatagramKind.allCases + [nil])
    func itIsRelayedBothWays(_ kind: DatagramKind?) async throws {
        try await trial { _ in
            let (connected, other) = try await ends(kind)
            let address: SocketAddress? = kind == nil ? nil : try connected.localAddress
            let behind = try DatagramSocket(on: "udp://127.0.0.1:0")
            let target = behind.endpoint
            let serving = Task {
                try await connected.serve { session in
                    await DatagramRelay(session, try await DatagramSocket(to: target)).run()
                }
            }
            for content in [[1], [2, 3]] as [[UInt8]] {
                try await other.send(content, to: address)
                let question = try await behind.receive()
                #expect(question.bytes == content)
                try await behind.send(content + [0], to: question.sender)
                #expect(try await other.receive().bytes == content + [0])
            }
            connected.stopReceiving()
            try await serving.value
            connected.close()
            other.close()
        }
    }
}
