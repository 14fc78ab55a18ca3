import Sockets
import SystemPackage
import TestSupport
import Testing

@Suite("C8: more datagrams than the kernel keeps", .inTurn)
struct DatagramOverflowTests {
    @Test(arguments: DatagramKind.udp, Face.allCases)
    func areCountedAsDropped(_ kind: DatagramKind, _ face: Face) async throws {
        try await trial(over: kind) { _, client, server in
            try server.setOption(.receiveBuffer, to: 16_384)
            var (sent, received) = (0, 0)
            #expect(server.overflowCount == 0)
            for _ in 0..<3 {
                for _ in 0..<200 {
                    try await client.send(pattern(500))
                    sent += 1
                }
                // To the end of what the kernel has, and then of what came along: a time-out may come before the first look.
                while server.hasNews {
                    _ = try await server.receive(by: face)
                    received += 1
                }
                // The kernel tells with what it delivers next.
                try await client.send([1])
                while try await server.receive(by: face).bytes != [1] { received += 1 }
                #expect(received < sent)
                #expect(server.overflowCount == sent - received)
            }
        }
    }

    @Test(arguments: DatagramKind.udp)
    func areNoneWhereAllAreRead(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            for round in 0..<100 as Range<UInt8> {
                try await client.send([round])
                #expect(try await server.receive().bytes == [round])
            }
            #expect(server.overflowCount == 0)
        }
    }

    @Test(arguments: DatagramKind.unix)
    func areNoneOverUnixWhereTheSenderWaits(_ kind: DatagramKind) async throws {
        try await trial(over: kind) { _, client, server in
            async let sending: Void = { for _ in 0..<100 { try await client.send([1]) } }()
            for _ in 0..<100 { _ = try await server.receive() }
            try await sending
            #expect(server.overflowCount == 0)
        }
    }
}
