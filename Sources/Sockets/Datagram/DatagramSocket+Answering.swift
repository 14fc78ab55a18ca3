public import Loops
public import SocketCore
internal import Synchronization
internal import SystemPackage

extension DatagramSocket {
    /// Answers every datagram with what `body` gives for it, and keeps nothing of its sender: for services to which each
    /// datagram says all there is to say. Who is to be remembered from one to the next has a session with `serve`.
    ///
    /// Waits, and returns when `stopReceiving()` or `close()` is called, or when it is cancelled, which leaves the socket
    /// open as it does in `serve`. Nil is no answer. An answer leaves from the address that was asked, and with one hop
    /// less than its question had left; when that was its last, it is not sent. So two servers of this kind cannot answer
    /// each other for ever. Answers to datagrams that came together go together. `admits` is asked about each sender. An
    /// answer that is not sent is told to `onError` (unless it is given, to the trace).
    ///
    /// `body` must not wait or compute for long: all others would wait too. Throws `SocketError` when receiving can never
    /// work again. Corresponds to `recvmmsg(2)` and `sendmmsg(2)`.
    @concurrent
    public func serveDatagrams(
        on loops: EventLoopGroup? = nil, admits: (@Sendable (SocketAddress) -> Bool)? = nil,
        onError: (@Sendable (SocketAddress, SocketError) -> Void)? = nil,
        _ body: @escaping @Sendable (Datagram) -> [UInt8]?
    ) async throws(SocketError) {
        try await serveDatagrams(on: loops, asOnlyUser: false, admits: admits, onError: onError, body)
    }

    /// The same; `asOnlyUser` says that until its close nobody else sends by the socket or changes its options, which may
    /// then be set to what the answers have in common.
    @concurrent
    package func serveDatagrams(
        on loops: EventLoopGroup?, asOnlyUser: Bool, admits: (@Sendable (SocketAddress) -> Bool)? = nil,
        onError: (@Sendable (SocketAddress, SocketError) -> Void)? = nil,
        _ body: @escaping @Sendable (Datagram) -> [UInt8]?
    ) async throws(SocketError) {
        let group: EventLoopGroup
        if let loops { group = loops } else { group = try EventLoopGroup.shared }
        // Its loops end with the last reference to it.
        defer { withExtendedLifetime(group) {} }
        // Bound to no loop yet, the socket is the first one's that waits for it.
        let loop = waitable.loop ?? group.next()
        let server = DatagramAnswerer(
            socket: self, isOnlyUser: asOnlyUser, admits: admits, onError: onError, body: body)
        try await whileServed(by: server, on: loop) { await server.run() }
    }
}

/// One `serveDatagrams` under way.
private final class DatagramAnswerer: DatagramServing {
    let socket: DatagramSocket
    let isOnlyUser: Bool
    let admits: (@Sendable (SocketAddress) -> Bool)?
    let onError: (@Sendable (SocketAddress, SocketError) -> Void)?
    let body: @Sendable (Datagram) -> [UInt8]?
    private let hasEnded = Atomic<Bool>(false)

    /// So many datagrams without a wait, and the others of the loop have their turn.
    private static let datagramsPerLook = 64

    init(
        socket: DatagramSocket, isOnlyUser: Bool, admits: (@Sendable (SocketAddress) -> Bool)?,
        onError: (@Sendable (SocketAddress, SocketError) -> Void)?, body: @escaping @Sendable (Datagram) -> [UInt8]?
    ) {
        self.socket = socket
        self.isOnlyUser = isOnlyUser
        self.admits = admits
        self.onError = onError
        self.body = body
    }

    var isOver: Bool { hasEnded.load(ordering: .acquiring) }

    func stop() {
        hasEnded.store(true, ordering: .sequentiallyConsistent)
        socket.lookAgain()
    }

    /// It has no senders that it knows again. The receive under way must end too.
    func finish(afterSilence silence: Duration) { socket.stopReceiving() }

    @concurrent
    func run() async -> SocketError? {
        // With a trace each send is told of as it happens; a Unix receiver's full queue must hold up only his.
        let gathers = socket.trace == nil && socket.transport == .udp
        var answers = AnswerBatch()
        var hops = AnswerHops()
        var alone: [(answer: [UInt8], question: Datagram)] = []
        var sinceLook = 0
        return await socket.receiveBatches(for: self) { datagram in
            guard !socket.isOwn(datagram), admits?(datagram.sender) != false, let answer = body(datagram) else {
                return
            }
            // Those that go alone go last, so what follows one of them must not overtake it.
            if gathers, alone.isEmpty {
                guard var passage = datagram.answer else { return }
                if isOnlyUser { hops.lighten(&passage, to: datagram.sender, by: socket) }
                if answers.put(answer, to: datagram.sender, by: passage) { return }
            }
            alone.append((answer, datagram))
        } finishBatch: { count in
            if !answers.isEmpty {
                if let error = await socket.sendBatch({ answers.send($0) { refused($1, $2) } }) {
                    answers.giveUp { tell($1, socket.error(.send, error.cause, with: $1)) }
                }
            }
            if !alone.isEmpty {
                for (answer, question) in alone { await send(answer, to: question) }
                alone = []
            }
            sinceLook += count
            guard sinceLook >= Self.datagramsPerLook else { return }
            sinceLook = 0
            EventLoop.current?.lookNext()
            await Task.yield()
        }
    }

    /// An answer that goes by itself. A Unix receiver that does not read is not waited for: all others would be.
    private func send(_ answer: [UInt8], to question: Datagram) async {
        do throws(SocketError) {
            try await socket.send(answer, answering: question, patience: .zero)
        } catch {
            tell(question.sender, error)
        }
    }

    private func refused(_ sender: SocketAddress, _ errno: Errno) {
        tell(sender, socket.error(.send, .system(errno), with: sender))
    }

    private func tell(_ sender: SocketAddress, _ error: SocketError) {
        if let onError {
            onError(sender, error)
        } else {
            socket.trace?.tell(.clientFailed("\(error)"), of: socket.waitable.rawValue, sender)
        }
    }
}
