public import SocketCore

extension Connection {
    /// What comes, message by message, until the peer has finished: `for try await message in connection.messages()`.
    ///
    /// Each element is what one `receive(upTo:)` gave.
    public func messages(upTo count: Int = 65536) -> Messages {
        Messages(connection: self, count: count)
    }

    /// What comes, line by line of at most `limit` bytes without their ends, until the peer has finished. Nothing is lost when the loop is left early: what came
    /// behind the last line can still be received.
    public func lines(upTo limit: Int = 65536) -> Lines {
        Lines(connection: self, limit: limit)
    }

    /// What comes, byte by byte, until the peer has finished. Nothing is lost when the loop is left early, but for the
    /// bytes of the piece that was begun.
    public func bytes() -> Bytes {
        Bytes(connection: self)
    }

    /// The messages of a connection.
    public struct Messages: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let connection: Connection
        let count: Int

        /// The next message; waits as `receive(upTo:)` does.
        public func next() async throws(SocketError) -> [UInt8]? {
            try await connection.receive(upTo: count)
        }

        /// The sequence is its own iterator: all its state is the connection's.
        public func makeAsyncIterator() -> Messages { self }
    }

    /// The lines of a connection.
    public struct Lines: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let connection: Connection
        let limit: Int

        /// The next line; waits as `receiveLine(upTo:)` does.
        public func next() async throws(SocketError) -> String? {
            try await connection.receiveLine(upTo: limit)
        }

        /// The sequence is its own iterator: all its state is the connection's.
        public func makeAsyncIterator() -> Lines { self }
    }

    /// The bytes of a connection.
    public struct Bytes: AsyncSequence, Sendable {
        let connection: Connection

        /// Starts to read.
        public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }

        /// Holds the piece that was received last.
        public struct Iterator: AsyncIteratorProtocol {
            let connection: Connection
            private var piece: [UInt8] = []
            private var index = 0

            init(connection: Connection) { self.connection = connection }

            /// The next byte; waits as `receive(upTo:)` does when the piece is used up.
            public mutating func next() async throws(SocketError) -> UInt8? {
                while index == piece.count {
                    guard let more = try await connection.receive(upTo: 16384) else { return nil }
                    piece = more
                    index = 0
                }
                defer { index += 1 }
                return piece[index]
            }
        }
    }
}
