import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Datagrams of every size, the empty one and the largest among them.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramSizeTests {
    private static let largest = 65_507

    @Test(arguments: models)
    func datagramsOfEverySizeComeBackWhole(model: String) async throws {
        try await servingDatagrams(
            at: ["udp://127.0.0.1:0", "udp://[::1]:0", unixDatagramEndpoint()], "--model", model, "--show", "none"
        ) { server in
            for index in 0..<3 {
                let sender = try server.sender(to: index)
                for size in [0, 1, 1472, 1473, 9000, 65_000, Self.largest, 0, 1] {
                    let bytes = randomBytes(size)
                    #expect(try sender.ask(bytes) == bytes, "\(size) to \(server.places[index])")
                }
            }
        }
    }

    /// `--receive-size` is about streams: a datagram has a border of its own.
    @Test(arguments: models)
    func aSmallReceiveSizeCutsNoDatagram(model: String) async throws {
        try await servingDatagrams("echo", "--model", model, "--receive-size", "16") { server in
            let sender = try server.sender()
            let bytes = [UInt8](repeating: 0x78, count: 5000)
            #expect(try sender.ask(bytes) == bytes)
            #expect(try sender.ask("next") == "next")
        }
    }

    @Test(.enabled(if: Place.has("python3"), "python3 is not installed"), arguments: models)
    func oneByteTooManyFailsAtItsSenderAndTheServerLives(model: String) async throws {
        try await servingDatagrams("echo", "--model", model, "--show", "none") { server in
            let client = """
                import socket
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.settimeout(120)
                s.connect(('127.0.0.1', \(server.port())))
                try: s.send(b'x' * \(Self.largest + 1))
                except OSError as error: print(error.errno)
                s.send(b'')
                print(s.recv(10))
                s.send(b'y' * \(Self.largest))
                print(s.recv(70000) == b'y' * \(Self.largest))
                """
            let python = try await outcome(of: ["python3", "-c", client])
            #expect(python.output == "90\nb''\nTrue\n", "\(python.errors)")
            try await server.end()
        }
    }

    @Test(arguments: ["udp", "unix-dgram"])
    func connectSendsNoMoreAtOnceThanADatagramHolds(transport: String) async throws {
        let path = temporaryPath("sock")
        let peer = try transport == "udp" ? DatagramPeer(boundTo: "127.0.0.1") : DatagramPeer(boundToPath: path)
        let place = transport == "udp" ? "udp://127.0.0.1:\(peer.port)" : "unix-dgram://\(path)"
        // What UDP holds until it is read is little; a Unix sender waits.
        let sent = randomBytes(transport == "udp" ? 100_000 : 1_000_000)
        let file = temporaryPath("in")
        try makeFile(file, sent)
        defer { unlink(file) }
        try await running("connect", place, "--duplex", "send", "--linger", "100ms", input: .file(file)) { client in
            let sizes = try await onThread {
                var all: [UInt8] = []
                var sizes: [Int] = []
                while all.count < sent.count {
                    let datagram = try peer.receive()
                    all += datagram
                    sizes.append(datagram.count)
                }
                #expect(all == sent)
                return sizes
            }
            #expect(sizes.dropLast().allSatisfy { $0 == Self.largest }, "\(sizes)")
            #expect(try await client.end() == 0, "\(client.errors.text)")
            #expect(!peer.hasNews())
        }
    }

    @Test func aLineThatNoDatagramHoldsIsAFailureThatSaysSo() async throws {
        let file = temporaryPath("in")
        try makeFile(file, [UInt8](repeating: 0x78, count: Self.largest + 1) + [10])
        defer { unlink(file) }
        try await servingDatagrams { server in
            let client = try await pier("connect", server.places[0], "--duplex", "half", input: .file(file))
            #expect(client.status == 1)
            #expect(client.errors.contains("too long") && client.errors.contains("65507"), "\(client.errors)")
        }
    }
}
