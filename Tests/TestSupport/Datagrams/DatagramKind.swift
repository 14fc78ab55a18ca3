package import Sockets
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The kinds of datagram socket that contract tests run over.
package enum DatagramKind: String, CaseIterable, Sendable {
    case udp4, udp6, unixPath, unixAbstract

    package static let udp: [DatagramKind] = [.udp4, .udp6]
    package static let unix: [DatagramKind] = [.unixPath, .unixAbstract]

    package var isUnix: Bool { self == .unixPath || self == .unixAbstract }

    /// An endpoint to bind to: a free port, or a place of its own.
    package var endpoint: String {
        switch self {
        // An address that no other test has, so that its port stays free after a close.
        case .udp4: "udp://\(loopbackAddress()):0"
        // There is only one address, so others must not get the port for the asking.
        case .udp6: "udp://[::1]:\((try? unusedPort(isFreeOverIPv6)) ?? 0)"
        case .unixPath: "unix-dgram:" + temporaryPath("dgram")
        case .unixAbstract: "unix-dgram://@" + temporaryPath("dgram").split(separator: "/").joined(separator: ".")
        }
    }
}

/// Found by the bare system calls, which no ledger counts.
private func isFreeOverIPv6(_ port: UInt16) -> Bool {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    address.sin6_addr = in6addr_loopback
    let descriptor = socket(AF_INET6, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    return withUnsafeBytes(of: &address) { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, socklen_t(bytes.count)) == 0 }
    }
}

private let counter = Atomic<UInt32>(0)

/// One of this machine's own IPv4 addresses that no other test has: 127.77.0.1 and those behind it.
package func loopbackAddress() -> String {
    let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
    return "127.77.\(number >> 8 & 0xff).\(number & 0xff)"
}

/// A socket that is bound by a kind of place, and one that is connected to it.
package func datagramPair(
    _ kind: DatagramKind, trace: Trace? = nil
) async throws -> (client: DatagramSocket, server: DatagramSocket) {
    let server = try DatagramSocket(on: kind.endpoint, trace: trace)
    return (try await DatagramSocket(to: server.endpoint, trace: trace), server)
}

/// A trial with a bound socket and one that is connected to it, which live until the body has ended.
package func trial(
    over kind: DatagramKind, _ limit: Duration = patience * 2,
    _ body: @escaping @Sendable (Ledger, _ client: DatagramSocket, _ server: DatagramSocket) async throws -> Void
) async throws {
    try await trial(limit) { ledger in
        let (client, server) = try await datagramPair(kind)
        defer {
            client.close()
            server.close()
        }
        try await body(ledger, client, server)
    }
}
