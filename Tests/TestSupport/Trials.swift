package import Sockets

/// A test's body under a ledger and a time limit: fails when a descriptor is left open, and when it takes too long.
package func trial(
    _ limit: Duration = patience * 2, _ body: @escaping @Sendable (Ledger) async throws -> Void
) async throws {
    try await within(limit, "the test's end") { try await audited(body) }
}

/// A trial with a connected pair over a kind of transport, which lives until the body has ended.
package func trial(
    over kind: Kind, duplex: Duplex = .full, _ limit: Duration = patience * 2,
    _ body: @escaping @Sendable (Ledger, _ client: Connection, _ server: Connection, Listener) async throws -> Void
) async throws {
    try await trial(limit) { ledger in
        let (client, server, listener) = try await connectedPair(kind, duplex: duplex)
        defer {
            client.close()
            server.close()
            listener.close()
        }
        try await body(ledger, client, server, listener)
    }
}
