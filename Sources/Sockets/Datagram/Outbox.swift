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

        /// As it is sent. Safety: an array's storage stays where it is for as long as the array, which this entry holds, is
        /// not changed.
        var outgoing: System.Outgoing {
            System.Outgoing(pointer(to: bytes.span.bytes), to: session.remoteAddress, by: passage)
        }
    }

    private struct State {
        var isOpen = false
        /// Those that have not been sent, each written down in the batch at its place.
        var entries: [Entry] = []
        /// Where they are written down as the kernel takes them; nil for want of memory, and then nothing gathers.
        var batch: Batch? = Batch()
    }

    /// One pointer to a batch.
    private final class Batch {
        let raw: System.DatagramBatch

        init?() {
            guard let raw = try? System.DatagramBatch() else { return nil }
            self.raw = raw
        }
    }

    private let state: Lock<State>

    init() {
        var state = State()
        state.entries.reserveCapacity(System.mostDatagrams)
        self.state = Lock(state)
    }

    /// Lets answers gather.
    func open() {
        state.withLock { $0.isOpen = $0.batch != nil }
    }

    /// Takes an answer; false when it is the caller's to send. A full box is sent off at once, as far as the kernel has room.
    func post(_ bytes: [UInt8], by passage: System.Passage, of session: DatagramSession) -> Bool {
        // What is longer than any datagram is refused by the system, and the refusal is its sender's.
        guard bytes.count <= DatagramSocket.largestUDP else { return false }
        return state.withLock { state in
            guard state.isOpen, let batch = state.batch else { return false }
            if state.entries.count == System.mostDatagrams {
                let sent = Self.send(state.entries, batch.raw, on: session.socket)
                state.entries.removeFirst(sent)
                // The kernel's buffer is full: this one waits by itself, and those that are left are written down anew.
                for (place, entry) in state.entries.enumerated() { try? batch.raw.put(entry.outgoing, at: place) }
                guard state.entries.isEmpty else { return false }
            }
            let entry = Entry(bytes: bytes, passage: passage, session: session)
            do throws(Errno) {
                try batch.raw.put(entry.outgoing, at: state.entries.count)
            } catch {
                return false
            }
            state.entries.append(entry)
            return true
        }
    }

    /// Sends all that has gathered, waiting for room where it must. The box is closed then.
    func flush(on socket: DatagramSocket) async {
        let left = state.withLock { state -> [Entry] in
            state.isOpen = false
            guard let batch = state.batch, !state.entries.isEmpty else { return [] }
            let sent = Self.send(state.entries, batch.raw, on: socket)
            defer { state.entries.removeAll(keepingCapacity: true) }
            return sent == state.entries.count ? [] : Array(state.entries.dropFirst(sent))
        }
        // Each by itself waits its turn and for its receiver.
        for entry in left {
            do throws(SocketError) {
                try await socket.send(
                    pointer(to: entry.bytes.span.bytes), to: entry.session.remoteAddress, by: entry.passage)
            } catch {
                if case .system(let errno) = error.cause { entry.session.refused(errno) }
            }
        }
        withExtendedLifetime(left) {}
    }

    /// Sends as many of the answers as the kernel takes now; how many are dealt with. One that it refuses is dealt with too,
    /// and its session told.
    private static func send(
        _ entries: [Entry], _ batch: borrowing System.DatagramBatch, on socket: DatagramSocket
    ) -> Int {
        var done = 0
        while done < entries.count {
            do throws(Errno) {
                guard socket.waitable.beginUse() else { return done }
                defer { socket.waitable.endUse() }
                let attempt = try batch.send(socket.waitable.rawValue, from: done, count: entries.count - done)
                guard case .done(let count) = attempt, count > 0 else { return done }
                done += count
            } catch .noBufferSpace {
                return done
            } catch {
                entries[done].session.refused(error)
                done += 1
            }
        }
        return done
    }
}
