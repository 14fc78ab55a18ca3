import Sockets
import SystemPackage
import TestSupport
import Testing

@Suite("C9: one datagram to all", .inTurn)
struct DatagramBroadcastTests {
    /// The loopback has a broadcast address of its own, so this needs no network.
    @Test(arguments: Face.allCases)
    func needsItsOption(_ face: Face) async throws {
        try await trial { _ in
            let receiver = try DatagramSocket(on: "udp://0.0.0.0:0")
            let port = try #require(try receiver.localAddress.port)
            let all = try SocketAddress("127.255.255.255:\(port)")
            let sender = try DatagramSocket(on: "udp://127.0.0.1:0")
            #expect(try sender.option(.broadcast) == false)
            let ended = try await cause { try await sender.send([1], to: all, by: face) }
            #expect(ended == .system(.permissionDenied))
            try await sender.send([2], to: SocketAddress("127.0.0.1:\(port)"), by: face)
            #expect(try await receiver.receive(by: face).bytes == [2])
            try sender.setOption(.broadcast, to: true)
            try await sender.send([3], to: all, by: face)
            #expect(try await receiver.receive(by: face) == Datagram(bytes: [3], sender: try sender.localAddress))
            sender.close()
            receiver.close()
        }
    }

    @Test(arguments: Face.allCases)
    func isRefusedToAConnectedSocketToo(_ face: Face) async throws {
        try await trial { ledger in
            let ended = try await cause {
                try await DatagramSocket.connect(to: "udp://127.255.255.255:9", by: face)
            }
            #expect(ended == .system(.permissionDenied))
            #expect(ledger.open.isEmpty)
        }
    }

    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"), arguments: Face.allCases)
    func goesToEveryMachineOfANetwork(_ face: Face) async throws {
        try await trial { _ in
            try await inNetwork { network in
                try network.client.ip("route", "add", "255.255.255.255/32", "dev", "v1")
                let receiver = try await network.server.onThread { try DatagramSocket(on: "udp://:0") }
                let sender = try await network.client.onThread { try DatagramSocket(on: "udp://10.77.0.1:0") }
                let port = try #require(try receiver.localAddress.port)
                for host in ["255.255.255.255", "10.77.0.255"] {
                    let all = try SocketAddress("\(host):\(port)")
                    try sender.setOption(.broadcast, to: false)
                    let ended = try await cause { try await sender.send([1], to: all, by: face) }
                    #expect(ended == .system(.permissionDenied))
                    try sender.setOption(.broadcast, to: true)
                    try await sender.send([2], to: all, by: face)
                    let datagram = try await receiver.receive(by: face)
                    #expect(datagram == Datagram(bytes: [2], sender: try sender.localAddress))
                    // It lives, and can be answered.
                    try await receiver.send([3], to: datagram.sender, by: face)
                    #expect(try await sender.receive(by: face).bytes == [3])
                }
                sender.close()
                receiver.close()
            }
        }
    }

    /// The answer comes from the server's own address: nobody can send from a broadcast address.
    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"))
    func isAnsweredByAServersSession() async throws {
        try await trial { _ in
            try await inNetwork { network in
                let server = try await network.server.onThread { try DatagramSocket(on: "udp://:0") }
                let serving = Task { try await server.serve(echoDatagrams) }
                let sender = try await network.client.onThread { try DatagramSocket(on: "udp://10.77.0.1:0") }
                let port = try #require(try server.localAddress.port)
                try sender.setOption(.broadcast, to: true)
                var answer: Datagram?
                for _ in 0..<30 where answer == nil {
                    try await sender.send([2], to: SocketAddress("10.77.0.255:\(port)"))
                    answer = try await sender.receive(within: .seconds(1))
                }
                #expect(answer == Datagram(bytes: [2], sender: try SocketAddress("10.77.0.2:\(port)")))
                sender.close()
                server.stopReceiving()
                try await serving.value
                server.close()
            }
        }
    }
}

@Suite("C9: one datagram to a group", .inTurn)
struct DatagramGroupTests {
    static let loopback = 1 as UInt32

    /// The loopback's number is 1 in every network namespace.
    @Test(arguments: ["udp://0.0.0.0:0", "udp://:0"], Face.allCases)
    func comesToItsMembersUntilTheyLeave(_ place: String, _ face: Face) async throws {
        try await trial { _ in
            let member = try DatagramSocket(on: place)
            let port = try #require(try member.localAddress.port)
            let group = try groupAddress(port)
            let straight = try SocketAddress("127.0.0.1:\(port)")
            let sender = try DatagramSocket(on: "udp://127.0.0.1:0")
            try sender.setMulticast(interface: Self.loopback)

            try await sender.send([0], to: group, by: face)
            try await sender.send([1], to: straight, by: face)
            #expect(try await member.receive(by: face).bytes == [1])

            try member.join(group: group, interface: Self.loopback)
            #expect(
                try await cause { try member.join(group: group, interface: Self.loopback) } == .system(.addressInUse))
            for round in 2..<6 as Range<UInt8> {
                try await sender.send([round], to: group, by: face)
                #expect(
                    try await member.receive(by: face) == Datagram(bytes: [round], sender: try sender.localAddress))
            }

            try member.leave(group: group, interface: Self.loopback)
            #expect(
                try await cause { try member.leave(group: group, interface: Self.loopback) }
                    == .system(.addressNotAvailable))
            try await sender.send([6], to: group, by: face)
            try await sender.send([7], to: straight, by: face)
            #expect(try await member.receive(by: face).bytes == [7])
            #expect(try await member.receive(within: .milliseconds(100), by: face) == nil)
            sender.close()
            member.close()
        }
    }

    @Test func comesToAllItsMembers() async throws {
        try await trial { _ in
            // One port for all of them, which the first has found.
            let first = try DatagramSocket(on: "udp://127.0.0.1:0")
            let group = try groupAddress(try #require(try first.localAddress.port))
            // Bound to the group, which they join by that.
            let others = try (0..<2).map { _ in try DatagramSocket(on: "udp://\(group)?interface=lo") }
            let sender = try DatagramSocket(on: "udp://127.0.0.1:0")
            try sender.setMulticast(hops: 1, comesBack: true, interface: Self.loopback)
            try await sender.send([1], to: group)
            for other in others { #expect(try await other.receive().bytes == [1]) }
            for socket in [first, sender] + others { socket.close() }
        }
    }

    @Test(.enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"))
    func doesNotComeBackWhereThatIsSwitchedOff() async throws {
        try await trial { _ in
            try await inNetwork { network in
                let number = try network.client.index(of: "v1")
                let (member, sender) = try await network.client.onThread {
                    (try DatagramSocket(on: "udp://0.0.0.0:0"), try DatagramSocket(on: "udp://10.77.0.1:0"))
                }
                let group = try groupAddress(try #require(try member.localAddress.port))
                try member.join(group: group, interface: number)
                try sender.setMulticast(comesBack: false, interface: number)
                try await sender.send([0], to: group)
                try sender.setMulticast(comesBack: true)
                try await sender.send([1], to: group)
                #expect(try await member.receive().bytes == [1])
                for socket in [member, sender] { socket.close() }
            }
        }
    }

    /// Nobody can send from a group's address: the answer comes from the server's own.
    @Test(arguments: ["udp://0.0.0.0:0", "udp://:0"])
    func isAnsweredByAServersSession(_ place: String) async throws {
        try await trial { _ in
            let server = try DatagramSocket(on: place)
            let port = try #require(try server.localAddress.port)
            let group = try groupAddress(port)
            try server.join(group: group, interface: Self.loopback)
            let serving = Task { try await server.serve(echoDatagrams) }
            let sender = try DatagramSocket(on: "udp://127.0.0.1:0")
            // An answer has a hop less than its question, but for one to a group, which has one only.
            try sender.setMulticast(interface: Self.loopback)
            var answer: Datagram?
            for _ in 0..<30 where answer == nil {
                try await sender.send([1], to: group)
                answer = try await sender.receive(within: .seconds(1))
            }
            #expect(answer == Datagram(bytes: [1], sender: try SocketAddress("127.0.0.1:\(port)")))
            sender.close()
            server.stopReceiving()
            try await serving.value
            server.close()
        }
    }

    @Test(arguments: [
        ("udp://127.0.0.1:0?interface=lo", "an interface is for a multicast group"),
        ("udp://:0?interface=lo", "an interface is for a multicast group"),
        ("udp://239.255.0.1:0?interface=nosuchif0", "no interface \"nosuchif0\""),
        ("udp://239.255.0.1:0?interface=0", "no interface \"0\""),
        ("udp://[ff02::4d%1]:0?interface=2", "names another interface"),
        ("udp://127.0.0.1:0?broadcast=1", "broadcast is true or false"),
        ("127.0.0.1:0?interface=lo", "unknown key"), ("unix-dgram:///a?broadcast=true", "unknown key"),
    ])
    func isAskedForInAnEndpointOfUDPAlone(_ text: String, _ reason: String) async throws {
        for isBound in [true, false] {
            let text = isBound ? text : text.replacing(":0?", with: ":9?")
            let error = try await #require(throws: SocketError.self) {
                if isBound { _ = try DatagramSocket(on: text) } else { _ = try await DatagramSocket(to: text) }
            }
            guard case .endpoint(let wrong) = error.cause else { throw error }
            #expect(wrong.reason.contains(reason), "\(wrong)")
        }
    }

    @Test(arguments: ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://:0"])
    func isNotJoinedWhereThereIsNone(_ place: String) async throws {
        try await trial { (_) async throws in
            let socket = try DatagramSocket(on: place)
            for text in ["127.0.0.1:9", "10.0.0.1:9", "[::1]:9", "@name"] {
                let address = try SocketAddress(text)
                let joined = try await cause { try socket.join(group: address, interface: Self.loopback) }
                #expect(joined != nil && joined != .closed)
                let left = try await cause { try socket.leave(group: address, interface: Self.loopback) }
                #expect(left != nil && left != .closed)
            }
            let group = try SocketAddress("239.77.0.1:9")
            #expect(try await cause { try socket.join(group: group, interface: 4_000_000) } != nil)
            socket.close()
            #expect(try await cause { try socket.join(group: group, interface: Self.loopback) } == .closed)
        }
    }

    @Test func isNoUnixSocketsAffair() async throws {
        try await trial { (_) async throws in
            let socket = try DatagramSocket(on: DatagramKind.unixAbstract.endpoint)
            let group = try SocketAddress("239.77.0.1:9")
            #expect(try await cause { try socket.join(group: group) } != nil)
            #expect(try await cause { try socket.setMulticast(hops: 1) } != nil)
            socket.close()
        }
    }

    /// Over a cable: the members are on another machine, and only there.
    @Test(
        .enabled(if: Namespace.isAvailable, "\(Namespace.whyNot)"),
        arguments: [
            ("udp://:0", "239.77.1.1", "udp://10.77.0.1:0"), ("udp://[::]:0", "[ff02::4d]", "udp://[fe80::1%v1]:0"),
        ],
        Face.allCases)
    func goesThroughANetwork(_ place: (String, String, String), _ face: Face) async throws {
        try await trial { _ in
            try await inNetwork { network in
                let (near, far) = (try network.client.index(of: "v1"), try network.server.index(of: "v2"))
                let member = try await network.server.onThread { try DatagramSocket(on: place.0) }
                let port = try #require(try member.localAddress.port)
                let group = try SocketAddress("\(place.1):\(port)")
                try member.join(group: group, interface: far)
                let sender = try await network.client.onThread {
                    let six = place.1.hasPrefix("[")
                    let socket = try DatagramSocket(on: six ? "udp://[::]:0" : place.2)
                    try socket.setMulticast(interface: near)
                    return socket
                }
                for round in 0..<5 as Range<UInt8> {
                    try await sender.send([round], to: group, by: face)
                    let datagram = try await member.receive(by: face)
                    #expect(datagram.bytes == [round])
                    try await member.send([round, 1], to: datagram.sender, by: face)
                    #expect(try await sender.receive(by: face).bytes == [round, 1])
                }
                try member.leave(group: group, interface: far)
                try await sender.send([9], to: group, by: face)
                #expect(try await member.receive(within: .milliseconds(100), by: face) == nil)
                sender.close()
                member.close()
            }
        }
    }

    private func groupAddress(_ port: UInt16) throws -> SocketAddress {
        // A group of the test's own: 239.255.0.0/16 is for one site (RFC 2365).
        let own = loopbackAddress().split(separator: ".").suffix(2).joined(separator: ".")
        return try SocketAddress("239.255.\(own):\(port)")
    }
}
