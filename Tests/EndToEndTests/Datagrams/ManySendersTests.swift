import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A thousand senders at once.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ManySendersTests {
    @Test(arguments: models, ["udp://127.0.0.1:0", "udp://[::1]:0", "unix-dgram://"])
    func aThousandAreEachAnsweredRightly(model: String, place: String) async throws {
        let endpoint = place == "unix-dgram://" ? unixDatagramEndpoint() : place
        try await servingDatagrams(at: [endpoint], "--model", model, "--show", "none") { server in
            let senders = try (0..<1000).map { _ in try server.sender() }
            for round in 0..<3 {
                let left = try await onThread { try askAll(senders, round) }
                #expect(left.isEmpty, "\(left.count) were not answered in round \(round)")
            }
            try await server.end()
        }
    }
}

/// Has all of them ask at once, each its own question, and receives whatever comes; gives those who were not answered.
func askAll(_ senders: [DatagramPeer], _ round: Int) throws -> Set<Int> {
    let questions = senders.indices.map {
        Array("sender \($0), round \(round), \(String(repeating: "x", count: $0))".utf8)
    }
    var open = Set(senders.indices)
    let end = ContinuousClock.now + patience
    while !open.isEmpty, ContinuousClock.now < end {
        // Whoever asks over UDP asks again: a kernel whose buffer is full drops what comes.
        var unsent = Array(open)
        let again = ContinuousClock.now + .seconds(2)
        while !open.isEmpty, ContinuousClock.now < again {
            // A Unix receiver whose queue is full takes nothing; no sender may then wait for it, or nobody would read.
            while let index = unsent.last, senders[index].trySending(questions[index]) { unsent.removeLast() }
            var entries = open.map { pollfd(fd: senders[$0].descriptor, events: Int16(POLLIN), revents: 0) }
            poll(&entries, nfds_t(entries.count), unsent.isEmpty ? 100 : 1)
            for (index, entry) in zip(open, entries) where entry.revents & Int16(POLLIN) != 0 {
                let answer = try senders[index].receive()
                if answer == questions[index] {
                    open.remove(index)
                } else {
                    // An answer to an earlier asking may come late; another sender's never.
                    let own = Array("sender \(index), round ".utf8)
                    guard answer.starts(with: own) else {
                        throw Unexpected(text: String(decoding: answer, as: UTF8.self))
                    }
                }
            }
        }
    }
    return open
}
