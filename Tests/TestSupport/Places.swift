import SocketCore
package import Sockets
import Synchronization
import SystemPackage
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The kinds of stream that contract tests run over.
package enum Kind: String, CaseIterable, Sendable {
    case tcp4, tcp6, unix

    /// An endpoint to listen on: a free port, or a path of its own.
    package var endpoint: String {
        switch self {
        case .tcp4: "127.0.0.1:0"
        case .tcp6: "[::1]:0"
        case .unix: "unix:" + temporaryPath("sock")
        }
    }

}

private let counter = Atomic<Int>(0)

/// A path that no other test has, short enough for a Unix socket.
package func temporaryPath(_ suffix: String) -> String {
    "/tmp/pier-\(getpid())-\(counter.wrappingAdd(1, ordering: .relaxed).newValue).\(suffix)"
}

/// A port that nobody has by `isFree`, and that nobody gets who does not ask for it: no other test, and below those that
/// the system gives out.
package func unusedPort(_ isFree: (UInt16) throws -> Bool) throws -> UInt16 {
    for _ in 0..<1000 {
        let number = Int(getpid()) &* 64 &+ ports.wrappingAdd(1, ordering: .relaxed).newValue
        let port = UInt16(12_000 + number % 20_000)
        if try isFree(port) { return port }
    }
    throw NeverHappened(what: "a free port")
}

private let ports = Atomic<Int>(0)

/// A connected pair over a kind of transport, and the listener it was made with.
package func connectedPair(
    _ kind: Kind, duplex: Duplex = .full
) async throws -> (client: Connection, server: Connection, listener: Listener) {
    let listener = try Listener(on: kind.endpoint, duplex: duplex)
    let client = try await Connection(to: listener.endpoint, duplex: duplex)
    return (client, try await listener.accept(), listener)
}

extension Listener {
    /// A listener in whose queue there is room for one client only: a backlog of 0 to the kernel, which Pier refuses.
    package static func withRoomForOne(on endpoint: String) throws -> Listener {
        let listener = try Listener(on: endpoint)
        _ = try listener.waitable.use { (fd) throws(Errno) in try System.listen(fd, backlog: 0) }
        return listener
    }
}
