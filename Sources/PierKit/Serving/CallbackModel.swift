internal import SocketCore
internal import Sockets

// `--model callbacks`: a call for each message. A silent client has neither a task nor a thread, and what is kept of it from
// one message to the next is its connection, unless something is told of it.

extension TaskModel {
    /// Serves the clients of a listener with a call for each message.
    func serveMessages<S: MessageService>(
        _ service: S.Type, _ listener: Listener, _ settings: Serve.Settings
    ) async throws(SocketError) {
        let isTold = server.isTold(settings)
        let told = Conversations(server, settings)
        let open: @Sendable (Connection) async throws -> Void = { client in told.begin(client) }
        let close: @Sendable (Connection, (any Error)?) -> Void = { client, error in told.end(client, error) }
        let answer: @Sendable (Connection, [UInt8]) async throws -> Void = { client, message in
            try await S.answer(message, from: client)
        }
        let answerTold: @Sendable (Connection, [UInt8]) async throws -> Void = { client, message in
            guard let conversation = told[client] else { return }
            await conversation.took(message)
            try await S.answer(message, from: conversation)
        }
        try await listener.serveMessages(
            upTo: settings.receiveSize, on: group, limit: settings.maxClients, idleTimeout: settings.idleTimeout,
            onOpen: isTold ? open : nil, onClose: isTold ? close : nil, onError: server.report.failureHandler,
            onShortage: server.tellShortage, onFull: { [server] in server.tellFull(listener, settings) },
            isTold ? answerTold : answer)
    }
}

/// What is told of the clients of an endpoint, from their first byte to their close.
private final class Conversations: Sendable {
    private let server: Server
    private let settings: Serve.Settings
    private let all = Lock<[ObjectIdentifier: Conversation]>([:])

    init(_ server: Server, _ settings: Serve.Settings) {
        self.server = server
        self.settings = settings
    }

    subscript(_ client: Connection) -> Conversation? {
        all.withLock { $0[ObjectIdentifier(client)] }
    }

    func begin(_ client: Connection) {
        let conversation = server.conversation(client, settings)
        all.withLock { $0[ObjectIdentifier(client)] = conversation }
    }

    func end(_ client: Connection, _ error: (any Error)?) {
        guard let conversation = all.withLock({ $0.removeValue(forKey: ObjectIdentifier(client)) }) else { return }
        if error == nil { conversation.account.note(received: nil) }
        conversation.account.closed(error as? SocketError)
    }
}
