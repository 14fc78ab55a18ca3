internal import Loops
internal import SocketCore
internal import Sockets

/// A service: what is done for one client over a stream, in both faces.
///
/// What the two hold while they wait is a client's memory: no more than they need.
protocol Service: SendableMetatype {
    /// Serves a client in a task, until it or the service has finished; whoever calls closes the connection.
    static func serve(_ client: some ClientStream, upTo size: Int) async throws(SocketError)

    /// The same without `await`, on a thread.
    @available(*, noasync)
    static func serve(_ client: some ClientStream, upTo size: Int) throws(SocketError)
}

/// A client's stream as a service sees it: the connection itself, or one of which something is told.
protocol ClientStream: AnyObject, Sendable {
    var listener: Listener? { get }
    var receiveDeadline: Deadline { get set }

    func receive(upTo count: Int) async throws(SocketError) -> [UInt8]?
    func send(_ bytes: [UInt8]) async throws(SocketError)

    @available(*, noasync)
    func receive(upTo count: Int) throws(SocketError) -> [UInt8]?
    @available(*, noasync)
    func send(_ bytes: [UInt8]) throws(SocketError)

    func close()
}

extension Connection: ClientStream {}
