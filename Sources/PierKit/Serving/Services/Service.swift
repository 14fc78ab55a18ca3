internal import Loops
internal import SocketCore
internal import Sockets

/// A service: what is done for one client over a stream, in both faces, and what a datagram is answered.
///
/// What the two hold while they wait is a client's memory: no more than they need.
protocol Service: SendableMetatype {
    /// Serves a client in a task, until it or the service has finished; whoever calls closes the connection.
    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError)

    /// The same without `await`, on a thread.
    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError)

    /// Whether datagrams are answered at all, so that somebody could be made to talk to another.
    static var answersDatagrams: Bool { get }

    /// What a datagram is answered with; nil for nothing. For a sender on another machine it is hardly longer than what he
    /// sent: who forges a sender must not gain by it.
    static func answer(to datagram: [UInt8], fromThisMachine isLocal: Bool) -> [UInt8]?
}

extension Service {
    static var answersDatagrams: Bool { true }
}

/// A service that does nothing but answer what comes, message by message: its silent clients need no task.
protocol MessageService: Service {
    /// Answers one message of a client.
    static func answer(_ message: [UInt8], from client: some ClientStream) async throws(SocketError)
}

/// A client's stream as a service sees it: the connection itself, or one of which something is told.
protocol ClientStream: AnyObject, Sendable {
    /// Whether the server is to end, and has no use for clients that never would.
    var isToEnd: Bool { get }
    var receiveDeadline: Deadline { get set }

    func receive(upTo count: Int) async throws(SocketError) -> [UInt8]?
    func send(_ bytes: [UInt8]) async throws(SocketError)

    @available(*, noasync)
    func receive(upTo count: Int) throws(SocketError) -> [UInt8]?
    @available(*, noasync)
    func send(_ bytes: [UInt8]) throws(SocketError)

    func close()
}

extension Connection: ClientStream {
    var isToEnd: Bool { listener?.isClosed == true }
}
