public import SocketCore

extension Connection {
    /// The two directions as two values, for two tasks: each can do only what its direction allows.
    ///
    /// They share the connection; `close()` on it, or the end of all three, closes it.
    public var halves: (receiving: ReceivingHalf, sending: SendingHalf) {
        (ReceivingHalf(connection: self), SendingHalf(connection: self))
    }
}

/// The receiving direction of a connection.
public struct ReceivingHalf: Sendable {
    let connection: Connection

    /// Receives what has come; see `Connection.receive(upTo:)`.
    public func receive(upTo count: Int) async throws(SocketError) -> [UInt8]? {
        try await connection.receive(upTo: count)
    }

    /// Receives what has come, blocking the thread; see `Connection.receive(upTo:)`.
    @available(*, noasync)
    public func receive(upTo count: Int) throws(SocketError) -> [UInt8]? {
        try connection.receive(upTo: count)
    }

    /// Ends this direction; see `Connection.stopReceiving()`.
    public func stop() throws(SocketError) { try connection.stopReceiving() }
}

/// The sending direction of a connection.
public struct SendingHalf: Sendable {
    let connection: Connection

    /// Sends all of the bytes; see `Connection.send(_:)`.
    public func send(_ bytes: [UInt8]) async throws(SocketError) { try await connection.send(bytes) }

    /// Sends all of the bytes, blocking the thread; see `Connection.send(_:)`.
    @available(*, noasync)
    public func send(_ bytes: [UInt8]) throws(SocketError) { try connection.send(bytes) }

    /// Sends all of a text; see `Connection.send(_:)`.
    public func send(_ text: String) async throws(SocketError) { try await connection.send(text) }

    /// Sends all of a text, blocking the thread; see `Connection.send(_:)`.
    @available(*, noasync)
    public func send(_ text: String) throws(SocketError) { try connection.send(text) }

    /// Ends this direction; see `Connection.finishSending()`.
    public func finish() throws(SocketError) { try connection.finishSending() }
}
