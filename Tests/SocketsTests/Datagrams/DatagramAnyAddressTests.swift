import Sockets
import SystemPackage
import TestSupport
import Testing

/// A socket on every address of this machine: who asks at one of them is answered from that one.
@Suite(.inTurn) struct DatagramAnyAddressTests {
    static let places = ["udp://:0", "udp://0.0.0.0:0"]

    @Test(arguments: places, ["127.0.0.1", "127.0.0.5"])
    func aSessionAnswersFromTheAddressThatWasAsked(_ place: String, _ host: String) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let senders = Notes<SocketAddress>()
            let serving = Task {
                try await server.serve { session in
                    senders.add(session.remoteAddress)
                    try await echoDatagrams(session)
                }
            }
            let port = try #require(try server.localAddress.port)
            let client = try await DatagramSocket(to: "udp://\(host):\(port)")
            for round in 0..<20 as Range<UInt8> {
                try await client.ask([round]) { $0 == [round] }
            }
            // An IPv4 sender is shown as one, whatever family the socket is of.
            #expect(senders.all == [try client.localAddress])
            guard case .ipv4? = senders.all.first else {
                Issue.record("\(senders.all)")
                return
            }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: ["udp://:0", "udp://[::]:0"])
    func aSenderOverIPv6IsAnsweredToo(_ place: String) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let serving = Task { try await server.serve(echoDatagrams) }
            let port = try #require(try server.localAddress.port)
            let six = try await DatagramSocket(to: "udp://[::1]:\(port)")
            for round in 0..<10 as Range<UInt8> { try await six.ask([round, 6]) { $0 == [round, 6] } }
            six.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// `[::]` is every IPv6 address, as for a listener; a port alone is every address of both families.
    @Test func aSocketOnEveryIPv6AddressIsNotThereForIPv4() async throws {
        try await trial { (_) async throws in
            let server = try DatagramSocket(on: "udp://[::]:0")
            #expect(try server.option(.onlyIPv6))
            let both = try DatagramSocket(on: "udp://:0")
            if case .ipv6 = try both.localAddress { #expect(try both.option(.onlyIPv6) == false) }
            server.close()
            both.close()
        }
    }

    @Test(arguments: places)
    func aBodyThatDoesNotReceiveAnswersFromThereToo(_ place: String) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let serving = Task { try await server.serve { session in try await session.send("noon") } }
            let port = try #require(try server.localAddress.port)
            let client = try await DatagramSocket(to: "udp://127.0.0.5:\(port)")
            try await client.send([1])
            #expect(try await client.receive(within: patience)?.bytes == Array("noon".utf8))
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    /// One sender that asks at two addresses: each answer comes from where its question went.
    @Test(arguments: places)
    func oneSenderMayAskAtSeveralAddresses(_ place: String) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let serving = Task { try await server.serve(echoDatagrams) }
            let port = try #require(try server.localAddress.port)
            let client = try DatagramSocket(on: "udp://127.0.0.1:0")
            for round in 0..<20 as Range<UInt8> {
                let target = try SocketAddress("127.0.0.\(5 + round % 2):\(port)")
                try await client.send([round], to: target)
                #expect(try await client.receive() == Datagram(bytes: [round], sender: target))
            }
            client.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: places, Face.allCases)
    func withoutSessionsAnIPv4SenderIsShownAndAnsweredAsOne(_ place: String, _ face: Face) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let port = try #require(try server.localAddress.port)
            let client = try await DatagramSocket(to: "udp://127.0.0.1:\(port)")
            try await client.send([1], by: face)
            let question = try await server.receive(by: face)
            #expect(try question.sender == client.localAddress)
            try await server.send([2], to: question.sender, by: face)
            #expect(try await client.receive(by: face).bytes == [2])
            client.close()
            server.close()
        }
    }
}
