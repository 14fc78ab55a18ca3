import SystemPackage
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What is behind a relay: a place that is known before anybody is there, and then whoever is reached by it.
final class Behind: Sendable {
    /// What the relay is told.
    let endpoint: String
    private let back: Pair.Back
    private let path: String
    /// Bound from the beginning, so that nobody else gets its place, and refusing until it listens.
    private let listener: CInt

    init(_ back: Pair.Back) throws {
        self.back = back
        path = temporaryPath("behind")
        let family = back == .tcp ? AF_INET : AF_UNIX
        let listener = try valid(socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
        self.listener = listener
        switch back {
        case .tcp:
            _ = try withUDPAddress("127.0.0.1", 0) { try valid(bind(listener, $0, $1)) }
            endpoint = "tcp://127.0.0.1:\(localPort(of: listener))"
        case .unix, .exec:
            _ = try withAddress(path) { try valid(bind(listener, $0, $1)) }
            endpoint = back == .unix ? "unix:\(path)" : "exec:\(path).program \(Puppet.words(path))"
        }
    }

    deinit {
        close(listener)
        unlink(path)
        unlink(path + ".program")
    }

    /// From now on somebody is there.
    func open() throws {
        _ = try valid(listen(listener, 16))
        if back == .exec { _ = try valid(symlink(Puppet.interpreter, path + ".program")) }
    }

    /// Waits for the next one that the relay joins to a client.
    func accept() async throws -> Side {
        switch back {
        case .tcp: try Side(.tcp, socket: try await accepted(by: listener))
        case .unix: try Side(.unix, socket: try await accepted(by: listener))
        case .exec: try Puppet.side(try await accepted(by: listener))
        }
    }
}

/// Waits for whoever connects, and gives its descriptor.
func accepted(by listener: CInt) async throws -> CInt {
    try await eventually(patience, "somebody who connects") {
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1
    }
    var descriptor: CInt = -1
    try uninherited {
        descriptor = try valid(accept(listener, nil, nil))
        return [descriptor]
    }
    return descriptor
}
