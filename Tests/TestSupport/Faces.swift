package import Sockets

/// The two faces of a verb: with `await` in a task, and blocking a thread.
package enum Face: String, CaseIterable, Sendable {
    case task, thread
}

extension Connection {
    /// `receive(upTo:)` by a face.
    package func receive(upTo count: Int, by face: Face) async throws -> [UInt8]? {
        switch face {
        case .task: try await receive(upTo: count)
        case .thread: try await onThread { try self.receive(upTo: count) }
        }
    }

    /// `receive(exactly:)` by a face.
    package func receive(exactly count: Int, by face: Face) async throws -> [UInt8]? {
        switch face {
        case .task: try await receive(exactly: count)
        case .thread: try await onThread { try self.receive(exactly: count) }
        }
    }

    /// `receiveLine(upTo:)` by a face.
    package func receiveLine(upTo limit: Int = 65536, by face: Face) async throws -> String? {
        switch face {
        case .task: try await receiveLine(upTo: limit)
        case .thread: try await onThread { try self.receiveLine(upTo: limit) }
        }
    }

    /// `send(_:)` by a face.
    package func send(_ bytes: [UInt8], by face: Face) async throws {
        switch face {
        case .task: try await send(bytes)
        case .thread: try await onThread { try self.send(bytes) }
        }
    }

    /// Connects by a face.
    package static func connect(
        to endpoint: String, from source: SocketAddress? = nil, family: AddressFamily? = nil, timeout: Duration? = nil,
        trace: Trace? = nil, by face: Face
    ) async throws -> Connection {
        switch face {
        case .task:
            try await Connection(to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
        case .thread:
            try await onThread {
                try Connection(to: endpoint, from: source, family: family, timeout: timeout, trace: trace)
            }
        }
    }

    /// Connects to the first of several addresses that answers, by a face.
    package static func connect(
        racing addresses: [SocketAddress], from source: SocketAddress? = nil, timeout: Duration? = nil,
        trace: Trace? = nil, by face: Face
    ) async throws -> Connection {
        guard let list = AddressList(interleaving: addresses) else {
            throw NeverHappened(what: "a race without addresses")
        }
        let deadline = timeout.map { Deadline.after($0) } ?? .never
        return switch face {
        case .task: try await Connection(racing: list, from: source, until: deadline, trace: trace)
        case .thread:
            try await onThread { try Connection(racing: list, from: source, until: deadline, trace: trace) }
        }
    }

    /// All that comes until the peer has finished.
    package func receiveAll(by face: Face = .task) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let more = try await receive(upTo: 65536, by: face) { all += more }
        return all
    }
}

extension Listener {
    /// `accept()` by a face.
    package func accept(by face: Face) async throws -> Connection {
        switch face {
        case .task: try await accept()
        case .thread: try await onThread { try self.accept() }
        }
    }
}

/// Why `body` failed; nil when it did not.
package func cause<T>(_ body: () async throws -> T) async throws -> SocketError.Cause? {
    do {
        _ = try await body()
        return nil
    } catch let error as SocketError {
        return error.cause
    }
}

/// Whether `body` was refused as what cannot be meant.
package func isMisuse<T>(_ body: () async throws -> T) async throws -> Bool {
    if case .misuse = try await cause(body) { true } else { false }
}

/// Bytes in which a piece that is lost, doubled or moved is seen: blocks of an odd length, repeated.
package func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    var bytes: [UInt8] = []
    for _ in 0..<min(count, 4099) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 56))
    }
    while bytes.count < count { bytes.append(contentsOf: Array(bytes.prefix(count - bytes.count))) }
    return bytes
}
