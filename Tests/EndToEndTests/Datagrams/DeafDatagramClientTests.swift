import Sockets
import TestSupport
import Testing

/// `pier serve` with Unix datagrams, in every way to wait.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DeafDatagramClientTests {
    /// A Unix receiver's queue is short, and a sender into a full one waits.
    @Test(arguments: ["tasks", "threads", "blocking"])
    func aClientThatDoesNotReadDelaysNoOther(model: String) async throws {
        let path = temporaryPath("dgram")
        let words = [Place.pier, "serve", "echo", "unix-dgram:\(path)", "--model", model]
        try await starting(words, input: .file("/dev/null")) { program in
            try await program.errors.line(with: "listening unix-dgram:")
            let other = try await DatagramSocket(to: "unix-dgram:\(path)")
            // Not connected: of one that is, the kernel does not bound the queue.
            let deaf = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let server = SocketAddress.unix(try #require(UnixAddress(path: path)))
            // More answers than its queue takes.
            for number in 0..<20 as Range<UInt8> { try await deaf.send([number], to: server) }
            try await other.send("hello")
            other.receiveDeadline = .after(patience)
            #expect(try await other.receive().bytes == Array("hello".utf8))
            other.close()
            deaf.close()
        }
    }
}
