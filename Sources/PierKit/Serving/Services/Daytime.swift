internal import SocketCore

/// The daytime service (RFC 867): one line with the date and the time, and then the end.
enum Daytime: Service {
    // What the client sends is thrown away by the close, which waits for the client's end for a short while.

    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError) {
        try await client.send(line(at: WallClock.now))
    }

    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError) {
        try client.send(line(at: WallClock.now))
    }

    /// `Sunday, November 22, 2026 16:05:09-UTC`: the RFC has no fixed form, and this is the first that it shows.
    static func line(at time: WallClock) -> [UInt8] {
        let date = time.utc
        let clock = [date.hour, date.minute, date.second].map { $0 < 10 ? "0\($0)" : "\($0)" }
        return Array(
            "\(date.weekday), \(date.month) \(date.day), \(date.year) \(clock.joined(separator: ":"))-UTC\r\n".utf8)
    }

    /// The line, whatever was sent. It is the one answer that may be longer than its question: a few bytes, and useless cut.
    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]? { line(at: WallClock.now) }
}
