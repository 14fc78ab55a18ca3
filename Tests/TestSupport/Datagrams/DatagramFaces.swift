package import Sockets

extension DatagramSocket {
    /// `receive(upTo:)` by a face.
    package func receive(upTo count: Int = .max, by face: Face) async throws -> Datagram {
        switch face {
        case .task: try await receive(upTo: count)
        case .thread: try await onThread { try self.receive(upTo: count) }
        }
    }

    /// `send(_:to:)` by a face.
    package func send(_ bytes: [UInt8], to address: SocketAddress? = nil, by face: Face) async throws {
        switch face {
        case .task: try await send(bytes, to: address)
        case .thread: try await onThread { try self.send(bytes, to: address) }
        }
    }

    /// Connects by a face.
    package static func connect(
        to endpoint: String, from source: SocketAddress? = nil, timeout: Duration? = nil, by face: Face
    ) async throws -> DatagramSocket {
        switch face {
        case .task: try await DatagramSocket(to: endpoint, from: source, timeout: timeout)
        case .thread: try await onThread { try DatagramSocket(to: endpoint, from: source, timeout: timeout) }
        }
    }

    /// What comes within a time; nil when nothing does.
    package func receive(within limit: Duration, by face: Face = .task) async throws -> Datagram? {
        receiveDeadline = .after(limit)
        defer { receiveDeadline = .never }
        do {
            return try await receive(by: face)
        } catch let error as SocketError where error.cause == .timedOut {
            return nil
        }
    }

    /// Asks until an answer comes that `fits`: what UDP may lose is asked again. Throws when none comes for long.
    package func ask(
        _ bytes: [UInt8], again: Duration = .milliseconds(500), tries: Int = 240, by face: Face = .task,
        fits: ([UInt8]) throws -> Bool
    ) async throws {
        for _ in 0..<tries {
            try await send(bytes, by: face)
            while let answer = try await receive(within: again, by: face) {
                if try fits(answer.bytes) { return }
            }
        }
        throw NeverHappened(what: "an answer")
    }
}

/// Sends back what a sender sends, until he is silent for long.
@Sendable package func echoDatagrams(_ session: DatagramSession) async throws {
    while let message = try await session.receive() { try await session.send(message) }
}
