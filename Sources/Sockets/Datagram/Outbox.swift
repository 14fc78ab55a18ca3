internal import Loops
internal import SocketCore
internal import SystemPackage

/// Answers on their way out together: a system call for each would be most of what a small datagram costs.
///
/// It is open only between the arrival of a batch and the moment when all who were woken by it have had their turn; the
/// server then sends what has gathered. At any other time a session sends by itself.
final class Outbox: Sendable {
    struct Entry: Sendable {
        let bytes: [UInt8]
        let passage: System.Passage
        let session: DatagramSession

        /// Safety: an array's storage stays where it is for as long as the array, which this entry holds, is not changed.
        var pointer: UnsafeRawBufferPointer {
            let span = bytes.span
            return span.bytes.withUnsafeBytes { $0 }
        }
    }

    private struct State {
        var isOpen = false
        var entries: [Entry] = []
    }

    private let state = Lock(State())

    /// Lets answers gather.
    func open() {
        state.withLock { $0.isOpen = true }
    }

    /// Takes an answer; false when it is the caller's to send. A full box is sent off at once, if the kernel has room.
    func post(_ entry: Entry, on socket: DatagramSocket) -> Bool {
        // What is longer than any datagram is refused by the system, and the refusal is its sender's.
        guard entry.bytes.count <= DatagramSocket.largestUDP else { return false }
        let full: [Entry]? = state.withLock { state in
            guard state.isOpen else { return [] }
            state.entries.append(entry)
            guard state.entries.count >= System.mostDatagrams else { return nil }
            defer { state.entries.removeAll(keepingCapacity: true) }
            return state.entries
        }
        guard let full else { return true }
        guard !full.isEmpty else { return false }
        let sent = socket.sendNow(full[...])
        guard sent < full.count else { return true }
        // The kernel's buffer is full: the rest stays in front of what comes, and this one waits by itself.
        state.withLock { $0.entries.insert(contentsOf: full[sent..<(full.count - 1)], at: 0) }
        return false
    }

    /// Sends all that has gathered, waiting for room where it must. The box is closed then.
    func flush(on socket: DatagramSocket) async {
        let entries = state.withLock { state in
            state.isOpen = false
            defer { state.entries = [] }
            return state.entries
        }
        var left = entries[...]
        left.removeFirst(socket.sendNow(left))
        // Each by itself waits its turn and for its receiver.
        while let entry = left.popFirst() {
            do throws(SocketError) {
                try await socket.send(entry.pointer, to: entry.session.remoteAddress, by: entry.passage)
            } catch {
                if case .system(let errno) = error.cause { entry.session.refused(errno) }
            }
            left.removeFirst(socket.sendNow(left))
        }
        withExtendedLifetime(entries) {}
    }
}

extension DatagramSocket {
    /// Sends as many of the answers as the kernel takes now; how many are dealt with. One that it refuses is dealt with too,
    /// and its session told.
    fileprivate func sendNow(_ entries: ArraySlice<Outbox.Entry>) -> Int {
        var done = 0
        while done < entries.count {
            let first = entries.startIndex + done
            do throws(Errno) {
                let attempt = try waitable.use { (fd) throws(Errno) in
                    try System.sendDatagrams(fd, count: entries.count - done) { index in
                        let entry = entries[first + index]
                        return System.Outgoing(
                            entry.pointer, to: entry.session.remoteAddress, by: entry.passage)
                    }
                }
                guard case .done(let count) = attempt, count > 0 else { return done }
                done += count
            } catch .noBufferSpace {
                return done
            } catch {
                entries[first].session.refused(error)
                done += 1
            }
        }
        return done
    }
}
