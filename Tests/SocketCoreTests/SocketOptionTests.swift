import SocketCore
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Typed options, on real sockets.
@Suite(.inTurn) struct SocketOptionTests {
    @Test(arguments: ["keepAlive", "reuseAddress", "reusePort", "noDelay", "urgentInline"])
    func aSwitchIsOffUntilItIsSetAndCanBeSetBack(name: String) async throws {
        let options: [String: SocketOption<Bool>] = [
            "keepAlive": .keepAlive, "reuseAddress": .reuseAddress, "reusePort": .reusePort, "noDelay": .noDelay,
            "urgentInline": .urgentInline,
        ]
        let option = try #require(options[name])
        try await audited { _ in
            let socket = try System.socket(family: AF_INET)
            #expect(try System.get(option, of: socket.rawValue) == false)
            try System.set(option, to: true, of: socket.rawValue)
            #expect(try System.get(option, of: socket.rawValue) == true)
            try System.set(option, to: false, of: socket.rawValue)
            #expect(try System.get(option, of: socket.rawValue) == false)
        }
    }

    @Test func oneSwitchDoesNotMoveAnother() throws {
        let socket = try System.socket(family: AF_INET)
        try System.set(.noDelay, to: true, of: socket.rawValue)
        #expect(try System.get(.keepAlive, of: socket.rawValue) == false)
        try System.set(.keepAliveIdle, to: 33, of: socket.rawValue)
        try System.set(.userTimeout, to: 4_000, of: socket.rawValue)
        #expect(try System.get(.keepAliveIdle, of: socket.rawValue) == 33)
        #expect(try System.get(.userTimeout, of: socket.rawValue) == 4_000)
    }

    @Test func anIPv6SocketCanBeKeptFromIPv4() throws {
        let socket = try System.socket(family: AF_INET6)
        for isOnly in [true, false] {
            try System.set(.onlyIPv6, to: isOnly, of: socket.rawValue)
            #expect(try System.get(.onlyIPv6, of: socket.rawValue) == isOnly)
        }
    }

    @Test func theKernelDoublesABuffersSize() throws {
        let socket = try System.socket(family: AF_INET)
        try System.set(.sendBuffer, to: 20_000, of: socket.rawValue)
        try System.set(.receiveBuffer, to: 30_000, of: socket.rawValue)
        #expect(try System.get(.sendBuffer, of: socket.rawValue) == 40_000)
        #expect(try System.get(.receiveBuffer, of: socket.rawValue) == 60_000)
    }

    @Test(arguments: [Int.max, Int.min, Int(CInt.max) + 1])
    func aNumberBeyondTheKernelsDoesNotTrap(number: Int) throws {
        let socket = try System.socket(family: AF_INET)
        _ = try? System.set(.userTimeout, to: number, of: socket.rawValue)
        _ = try? System.set(.sendBuffer, to: number, of: socket.rawValue)
        #expect(try System.get(.sendBuffer, of: socket.rawValue) > 0)
    }

    @Test func aPendingErrorIsTakenByAsking() throws {
        let socket = try System.socket(family: AF_INET)
        #expect(try System.get(.pendingError, of: socket.rawValue) == nil)
        // A port that was free a moment ago, so that nobody listens there.
        let bound = try System.socket(family: AF_INET)
        try System.bind(bound.rawValue, to: .ipv4(.loopback, port: 0))
        let address = try System.localAddress(bound.rawValue)
        guard case .wait(.send) = try System.connect(socket.rawValue, to: address) else {
            Issue.record("a refused connection was not begun")
            return
        }
        var entries = [pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)]
        #expect(try System.poll(&entries, milliseconds: 20_000) == 1)
        #expect(try System.get(.pendingError, of: socket.rawValue) == .connectionRefused)
        #expect(try System.get(.pendingError, of: socket.rawValue) == nil)
    }

    @Test func anOptionOfAnotherKindOfSocketIsRefused() throws {
        let socket = try System.socket(family: AF_UNIX)
        #expect(throws: Errno.self) { try System.set(.noDelay, to: true, of: socket.rawValue) }
        #expect(throws: Errno.badFileDescriptor) { try System.get(.keepAlive, of: -1) }
    }
}
