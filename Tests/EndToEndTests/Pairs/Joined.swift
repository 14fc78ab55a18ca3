import SocketCore
import SystemPackage
import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A `pier relay` between the two of a pair, while a test runs.
final class Joined: Sendable {
    let pair: Pair
    let relay: Program
    let behind: Behind
    fileprivate let inFront: InFront

    fileprivate init(_ pair: Pair, _ relay: Program, _ behind: Behind, _ inFront: InFront) {
        self.pair = pair
        self.relay = relay
        self.behind = behind
        self.inFront = inFront
    }

    /// The next client, or the one that is there.
    func client() async throws -> Side { try await inFront.client(of: relay) }

    /// The next that a client is joined to.
    func server() async throws -> Side { try await behind.accept() }

    /// Waits until the relay lets nobody in any more, or, where nobody comes, has heard a signal.
    func hasHeard(_ signal: CInt) async throws {
        if pair.listens {
            try await eventually(patience, "refusing") { [inFront, relay] in !inFront.isOpen(relay) }
        } else {
            try await eventually(patience, "hearing the signal") { [relay] in !relay.isPending(signal) }
        }
    }

    /// Ends the relay where it does not end by itself; it must be content, and have said nothing but where it listens.
    func ends(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        if pair.listens { relay.send(SIGTERM) }
        #expect(try await relay.end() == 0, "\(relay.errors.text)", sourceLocation: sourceLocation)
        #expect(complaints.isEmpty, "\(complaints)", sourceLocation: sourceLocation)
        #expect(inFront.isGone, "its path is still there", sourceLocation: sourceLocation)
    }

    /// What it said besides where it listens.
    var complaints: [String] { relay.errors.lines.filter { !$0.hasPrefix("listening ") } }
}

/// Runs `pier relay` between the two of a pair while `body` runs. Who reads a file must know before what it says.
func joining<R>(
    _ pair: Pair, _ arguments: String..., said: [UInt8] = [], output: Stream? = nil, isOpen: Bool = true,
    _ body: (Joined) async throws -> R
) async throws -> R {
    let behind = try Behind(pair.back)
    if isOpen { try behind.open() }
    let inFront = try InFront(pair.front, said: said, output: output)
    return try await starting(
        [Place.pier, "relay", inFront.endpoint, behind.endpoint] + arguments, input: inFront.input,
        output: inFront.output
    ) { relay in
        inFront.hasStarted()
        if pair.listens { try await relay.errors.line(with: "listening") }
        return try await body(Joined(pair, relay, behind, inFront))
    }
}

/// What is in front of a relay.
private final class InFront: Sendable {
    /// What the relay is told.
    let endpoint: String
    let input: Stream
    let output: Stream
    private let front: Pair.Front
    private let path: String
    private let said: [UInt8]
    /// Where programs connect to, if it is one.
    private let listener: CInt
    /// Of the pipes that the relay's standard streams are: its ends, and the test's.
    private let theirs: [CInt]
    private let ours: Lock<[CInt]>

    init(_ front: Pair.Front, said: [UInt8], output: Stream?) throws {
        self.front = front
        self.said = said
        path = temporaryPath("front")
        var pipes: [CInt] = [-1, -1, -1, -1]
        switch front {
        case .tcp: endpoint = "127.0.0.1:0"
        case .unix: endpoint = path
        case .exec: endpoint = "exec:\(Puppet.interpreter) \(Puppet.words(path))"
        case .file:
            endpoint = "file:\(path)?mode=read"
            try makeFile(path, said)
        case .standard:
            endpoint = "-"
            for number in [0, 2] {
                try uninherited {
                    _ = try pipes.withUnsafeMutableBufferPointer {
                        try valid(pipe($0.baseAddress?.advanced(by: number)))
                    }
                    return Array(pipes[number..<number + 2])
                }
            }
        }
        let isStandard = front == .standard
        theirs = isStandard ? [pipes[0], pipes[3]] : []
        ours = Lock(isStandard ? [pipes[2], pipes[1]] : [])
        input = isStandard ? .descriptor(pipes[0]) : .file("/dev/null")
        self.output = output ?? (isStandard ? .descriptor(pipes[3]) : .pipe)
        guard front == .exec else {
            listener = -1
            return
        }
        listener = try valid(socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
        _ = try withAddress(path) { try valid(bind(listener, $0, $1)) }
        _ = try valid(listen(listener, 16))
    }

    deinit {
        if listener >= 0 { close(listener) }
        for descriptor in ours.withLock(\.self) { close(descriptor) }
        unlink(path)
    }

    /// What the relay has now, the test need not have.
    func hasStarted() { for descriptor in theirs { close(descriptor) } }

    func client(of relay: Program) async throws -> Side {
        switch front {
        case .tcp: try Side(.tcp, socket: connected(to: try await listeningPort(of: relay)))
        case .unix: try Side(.unix, socket: connected(to: nil))
        case .exec: try Puppet.side(try await accepted(by: listener))
        case .file: try Side(.file(said), reading: nothing(O_RDONLY), writing: nothing(O_WRONLY))
        case .standard: try ownSide()
        }
    }

    /// Whether clients are let in, by what the kernel knows: one that tried would have to be waited for.
    func isOpen(_ relay: Program) -> Bool {
        let listing = contents(of: front == .unix ? "/proc/net/unix" : "/proc/net/tcp").split(separator: "\n")
        if front == .unix { return listing.contains { $0.contains(" 00010000 ") && $0.hasSuffix(" \(path)") } }
        let told = relay.errors.text.firstMatch(of: /listening.*tcp:\/\/\S*?:(\d+)/).flatMap { UInt16($0.1) }
        let port = String(told ?? 0, radix: 16, uppercase: true)
        let place = "0100007F:\(String(repeating: "0", count: 4 - port.count))\(port) 00000000:0000 0A "
        return listing.contains { $0.contains(place) }
    }

    /// Whether nothing is left at the path of one that listened.
    var isGone: Bool { front != .unix || access(path, F_OK) != 0 }

    private func ownSide() throws -> Side {
        let ours = ours.withLock { ours in
            defer { ours = [] }
            return ours
        }
        guard ours.count == 2 else { throw Unexpected(text: "a second client") }
        return try Side(.standard, reading: ours[0], writing: ours[1])
    }

    private func connected(to port: UInt16?) throws -> CInt {
        let family = port == nil ? AF_UNIX : AF_INET
        let descriptor = try valid(socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
        do {
            if let port {
                _ = try withUDPAddress("127.0.0.1", port) { try valid(connect(descriptor, $0, $1)) }
            } else {
                _ = try withAddress(path) { try valid(connect(descriptor, $0, $1)) }
            }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private func nothing(_ flags: CInt) throws -> CInt { try valid(open("/dev/null", flags | O_CLOEXEC)) }
}
