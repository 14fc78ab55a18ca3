import Sockets
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("B29: one server takes over from another", .inTurn, .timeLimit(.minutes(10)))
struct HandOverTests {
    /// Both have the listening socket, as after it was passed on. The first lets its clients finish, and nobody is refused.
    @Test func noClientIsRefusedWhileTheSocketChangesHands() async throws {
        try await trial { _ in
            let (one, other) = try listeningTwice()
            let first = try Listener(adopting: one)
            let second = try Listener(adopting: other)
            let (byFirst, bySecond) = (Counter(), Counter())
            let old = Task {
                try await first.serve { client in
                    byFirst.add()
                    try await echo(client)
                }
            }
            let early = try await Connection(to: first.endpoint)
            try await early.send([0])
            #expect(try await early.receive(upTo: 9) == [0])
            var new: Task<Void, any Error>?
            for number in 0..<400 {
                if number == 150 {
                    new = Task {
                        try await second.serve { client in
                            bySecond.add()
                            try await echo(client)
                        }
                    }
                }
                if number == 250 { first.close() }
                let client = try await Connection(to: second.endpoint)
                try await client.send([1, 2, 3])
                #expect(try await client.receive(upTo: 9) == [1, 2, 3])
                client.close()
            }
            // Who was the first's is so to the end.
            try await early.send([4])
            #expect(try await early.receive(upTo: 9) == [4])
            early.close()
            try await old.value
            #expect(byFirst.value >= 150 && bySecond.value >= 150)
            #expect(byFirst.value + bySecond.value == 401)
            second.close()
            try await new?.value
        }
    }

    /// A listening socket under two numbers.
    private func listeningTwice() throws -> (CInt, CInt) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let isBound = withUnsafeBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) {
                bind(descriptor, $0.baseAddress, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(isBound == 0 && listen(descriptor, 128) == 0)
        return (descriptor, fcntl(descriptor, F_DUPFD_CLOEXEC, 3))
    }
}
