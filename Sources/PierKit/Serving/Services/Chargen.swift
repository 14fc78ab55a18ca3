internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization
internal import struct SystemPackage.Errno

/// The character generator (RFC 864): lines of characters for as long as the client takes them.
///
/// A client ends it by going away; that it has only finished sending is no end. What it sends is read and dropped meanwhile:
/// left unread it would stop a client that must say everything before it listens.
enum Chargen: Service {
    /// A line for each of the 95 printable characters of ASCII to begin with, 72 characters long, each one further on than
    /// the last. All clients are sent the same bytes, so none of them costs memory for it.
    static let lines: [UInt8] = {
        let printable = UInt8(ascii: " ")...UInt8(ascii: "~")
        let twice = Array(printable) + Array(printable)
        return printable.indices.reduce(into: []) { lines, _ in
            lines += twice[(lines.count / 74)...].prefix(72) + [UInt8(ascii: "\r"), UInt8(ascii: "\n")]
        }
    }()

    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError) {
        // A child of this task, and cancelled when this one is done.
        async let _: Void = drop(client, size)
        while !client.isToEnd { try await client.send(lines) }
    }

    /// The same on two threads.
    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError) {
        let dropping = Dropping()
        guard Threads.start("drop", { dropping.run(client, size) }) else {
            throw SocketError(.receive, .system(.resourceTemporarilyUnavailable))
        }
        defer { dropping.end(client) }
        while !client.isToEnd { try client.send(lines) }
    }

    private static func drop(_ client: some ClientStream, _ size: Int) async {
        while true {
            do throws(SocketError) {
                if try await client.receive(upTo: size) == nil { return }
            } catch {
                if !mayGoOn(client, error) { return }
            }
        }
    }

    /// Whether there may be more to read. A client may listen for as long as it likes without a word.
    private static func mayGoOn(_ client: some ClientStream, _ error: SocketError) -> Bool {
        switch error.cause {
        case .timedOut: return true
        case .system where !error.isReset:
            // Nobody reads any more, so it cannot go on; a reset the sender meets itself.
            client.close()
            return false
        default: return false
        }
    }

    // MARK: In datagrams

    /// A random number of characters, up to 512.
    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]? {
        let count = Int.random(in: 0...512)
        return Array(lines.prefix(isLocal ? count : min(count, datagram.count)))
    }

    /// The second thread.
    private final class Dropping: Sendable {
        private let isOver = Atomic<Bool>(false)
        private let hasEnded = Bell()

        func run(_ client: some ClientStream, _ size: Int) {
            defer { hasEnded.ring() }
            while !isOver.load(ordering: .acquiring) {
                do throws(SocketError) {
                    if try client.receive(upTo: size) == nil { return }
                } catch {
                    if !mayGoOn(client, error) { return }
                }
            }
        }

        /// Wakes it from its wait, and waits for its end.
        func end(_ client: some ClientStream) {
            isOver.store(true, ordering: .releasing)
            client.receiveDeadline = .now
            hasEnded.waitBlockingAnyway(until: .never)
        }
    }
}
