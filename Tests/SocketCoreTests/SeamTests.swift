import SocketCore
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The one seam between Pier and the kernel, and the descriptors that pass through it.
@Suite(.inTurn) struct SeamTests {
    @Test func aCallThatIsFailedIsNotMade() async throws {
        try await audited { ledger in
            ledger.make(.socket, .fail(.tooManyOpenFiles))
            let code = failure { _ = try System.socket(family: AF_INET) }
            #expect(code == .tooManyOpenFiles)
            #expect(ledger.open.isEmpty)
            // Only the one call was to fail.
            _ = try System.socket(family: AF_INET)
        }
    }

    @Test func theCallToFailCanBeALaterOne() async throws {
        try await audited { ledger in
            ledger.make(.socketpair, .fail(.noMemory), times: 2, after: 1)
            let pair = try Pair()
            #expect(failure { _ = try Pair() } == .noMemory)
            #expect(failure { _ = try Pair() } == .noMemory)
            let other = try Pair()
            #expect(ledger.count(of: .socketpair) == 4)
            #expect(ledger.open == [pair.a.rawValue, pair.b.rawValue, other.a.rawValue, other.b.rawValue])
        }
    }

    @Test func aCallThatASignalInterruptsIsMadeAgain() async throws {
        try await audited { ledger in
            ledger.make(.socketpair, .fail(.interrupted), times: 3)
            let pair = try Pair()
            #expect(ledger.count(of: .socketpair) == 4)
            ledger.make(.send, .fail(.interrupted), times: 2)
            #expect(try done(send(pair.a.rawValue, "abc")) == 3)
            #expect(ledger.count(of: .send) == 3)
            ledger.make(.receive, .fail(.interrupted), times: 2)
            #expect(try receive(pair.b.rawValue, 10) == "abc")
            #expect(ledger.count(of: .receive) == 3)
        }
    }

    // The deadline must be looked at again, so these two come back.
    @Test func anInterruptedPollComesBack() async throws {
        try await audited { ledger in
            let pair = try Pair()
            ledger.make(.poll, .fail(.interrupted))
            var entries = [pollfd(fd: pair.a.rawValue, events: Int16(POLLIN), revents: 0)]
            #expect(try System.poll(&entries, milliseconds: -1) == nil)
            #expect(try System.poll(&entries, milliseconds: 0) == 0)
        }
    }

    @Test func anInterruptedConnectIsUnderWay() async throws {
        try await audited { ledger in
            let listener = try System.socket(family: AF_INET)
            try System.bind(listener.rawValue, to: .ipv4(.loopback, port: 0))
            try System.listen(listener.rawValue, backlog: 1)
            let client = try System.socket(family: AF_INET)
            ledger.make(.connect, .fail(.interrupted))
            guard case .wait(.send) = try System.connect(client.rawValue, to: System.localAddress(listener.rawValue))
            else {
                Issue.record("connect was not begun")
                return
            }
            var entries = [pollfd(fd: client.rawValue, events: Int16(POLLOUT), revents: 0)]
            #expect(try System.poll(&entries, milliseconds: 20_000) == 1)
            #expect(try System.get(.pendingError, of: client.rawValue) == nil)
            #expect(ledger.count(of: .connect) == 1)
            let accepted = try done(System.accept(listener.rawValue))
            let peer = Descriptor(owning: try #require(accepted).rawValue)
            #expect(ledger.open.contains(peer.rawValue))
            #expect(try System.remoteAddress(peer.rawValue) == System.localAddress(client.rawValue))
        }
    }

    @Test func readsAndWritesCanBeShortened() async throws {
        try await audited { ledger in
            let pair = try Pair()
            ledger.make(.send, .shorten(to: 2))
            #expect(try done(send(pair.a.rawValue, "abcdef")) == 2)
            #expect(try done(send(pair.a.rawValue, "cdef")) == 4)
            ledger.make(.receive, .shorten(to: 1), times: 2)
            #expect(try receive(pair.b.rawValue, 10) == "a")
            #expect(try receive(pair.b.rawValue, 10) == "b")
            #expect(try receive(pair.b.rawValue, 10) == "cdef")
            // Never to nothing: that would read as the end of the stream.
            ledger.make(.send, .shorten(to: 0))
            #expect(try done(send(pair.a.rawValue, "xyz")) == 1)
        }
    }

    @Test func wouldBlockIsAWordToWaitAndNoError() async throws {
        try await audited { ledger in
            let pair = try Pair()
            guard case .wait(.receive) = try attemptToReceive(pair.a.rawValue) else {
                Issue.record("an empty socket gave something")
                return
            }
            ledger.make(.send, .fail(.wouldBlock))
            guard case .wait(.send) = try send(pair.a.rawValue, "a") else {
                Issue.record("the seam's would-block was no word to wait")
                return
            }
            ledger.make(.accept, .fail(.wouldBlock))
            guard case .wait(.receive) = try System.accept(pair.a.rawValue) else {
                Issue.record("the seam's would-block was no word to wait")
                return
            }
        }
    }

    @Test func aPeerThatWentAwayIsAnErrorAndNoSignal() async throws {
        try await audited { _ in
            let (a, b) = try System.socketPair(family: AF_UNIX, kind: System.kindStream)
            let sender = Descriptor(owning: a)
            do { _ = Descriptor(owning: b) }
            #expect(failure { _ = try send(sender.rawValue, "a") } == .brokenPipe)
        }
    }

    @Test func everyDescriptorIsClosedOnExecAndNonBlocking() async throws {
        try await audited { _ in
            let pair = try Pair()
            let socket = try System.socket(family: AF_INET)
            for descriptor in [pair.a.rawValue, pair.b.rawValue, socket.rawValue] {
                #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
                #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            }
        }
    }

    @Test func aTestSeesNoCallsButItsOwn() async throws {
        try await audited { outer in
            let mine = try System.socket(family: AF_INET)
            try await audited { inner in
                let pair = try Pair()
                #expect(inner.open == [pair.a.rawValue, pair.b.rawValue])
                #expect(inner.count(of: .socket) == 0)
                #expect(outer.open == [mine.rawValue])
            }
            let others = await Task.detached { Interposer.current == nil }.value
            #expect(others)
        }
        #expect(Interposer.current == nil)
    }
}

@Suite(.inTurn) struct DescriptorTests {
    @Test func aDescriptorIsClosedOnceByItsLastOwner() async throws {
        try await audited { ledger in
            let raw = use(try System.socket(family: AF_INET))
            #expect(ledger.count(of: .close) == 1)
            #expect(!ledger.open.contains(raw))
        }
    }

    @Test func aClosedDescriptorIsCountedOutOfTheLedger() async throws {
        try await audited { ledger in
            do {
                let descriptor = try System.socket(family: AF_INET)
                #expect(ledger.open == [descriptor.rawValue])
            }
            #expect(ledger.open.isEmpty)
            #expect(ledger.count(of: .close) == 1)
        }
    }

    @Test func whoReleasesADescriptorMustCloseIt() async throws {
        try await audited { ledger in
            let raw = try System.socket(family: AF_INET).release()
            #expect(ledger.count(of: .close) == 0)
            #expect(fcntl(raw, F_GETFD) >= 0)
            _ = Descriptor(owning: raw)
            #expect(ledger.count(of: .close) == 1)
        }
    }

    private func use(_ descriptor: consuming Descriptor) -> CInt { descriptor.rawValue }
}

// MARK: -

private struct Pair: ~Copyable {
    let a: Descriptor
    let b: Descriptor

    init() throws(Errno) {
        let (a, b) = try System.socketPair(family: AF_UNIX, kind: System.kindStream)
        self.a = Descriptor(owning: a)
        self.b = Descriptor(owning: b)
    }
}

private func failure(_ body: () throws -> Void) -> Errno? {
    do { try body() } catch { return error as? Errno }
    return nil
}

private func done<Value>(_ attempt: Attempt<Value>) -> Value? {
    if case .done(let value) = attempt { value } else { nil }
}

private func send(_ descriptor: CInt, _ text: String) throws -> Attempt<Int> {
    let bytes = Array(text.utf8)
    return try bytes.withUnsafeBytes { bytes in try System.send(descriptor, bytes) }
}

private func attemptToReceive(_ descriptor: CInt) throws -> Attempt<Int> {
    var byte: UInt8 = 0
    return try withUnsafeMutableBytes(of: &byte) { bytes in try System.receive(descriptor, into: bytes) }
}

private func receive(_ descriptor: CInt, _ count: Int) throws -> String? {
    var bytes = [UInt8](repeating: 0, count: count)
    let attempt = try bytes.withUnsafeMutableBytes { bytes in
        try System.receive(descriptor, into: bytes)
    }
    return done(attempt).map { String(decoding: bytes.prefix($0), as: UTF8.self) }
}
