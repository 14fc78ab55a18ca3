internal import Loops
internal import SocketCore
internal import SystemPackage

// What a relay needs of a connected socket: to send several datagrams by one system call, and to find a peer again that went
// away and came back.

extension DatagramSocket {
    /// Sends as many as the kernel takes now; how many. None: the first has to wait.
    func sendNow(_ batch: ArraySlice<[UInt8]>) throws(SocketError) -> Int {
        let attempt: Attempt<Int>?
        do throws(Errno) {
            attempt = try waitable.use { (fd) throws(Errno) in try System.sendDatagrams(fd, batch) }
        } catch .noBufferSpace {
            return 0
        } catch .socketNotConnected where transport == .unixDatagram {
            throw error(.send, .system(.connectionRefused))
        } catch {
            throw self.error(.send, .system(error))
        }
        switch attempt {
        case .done(let count): return count
        case .wait: return 0
        case nil: throw error(.send, .closed)
        }
    }

    /// Sends one, and waits for room no longer than an answer does.
    func sendPatiently(_ bytes: [UInt8]) async throws(SocketError) {
        waitable.setDeadline(.after(Self.patienceOfAnswers), .send)
        defer { waitable.setDeadline(.never, .send) }
        try await send(
            pointer(to: bytes.span.bytes), to: nil, by: .usual, patience: Self.patienceOfAnswers)
        withExtendedLifetime(bytes) {}
    }

    /// Connects once more to the peer of a Unix socket: the kernel parts them when the peer goes (unix(7)), and another may
    /// have taken its place.
    func rejoin() {
        guard transport == .unixDatagram, let remoteAddress, remoteAddress != .unnamed else { return }
        _ = try? waitable.use { (fd) throws(Errno) in try System.connect(fd, to: remoteAddress) }
    }
}
