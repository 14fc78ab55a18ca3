internal import Loops
internal import SocketCore
internal import SystemPackage

/// Answers that are to go out together, each written down as the kernel takes it: a system call for each would be most of
/// what a small datagram costs.
struct AnswerBatch: ~Copyable {
    /// Nil for want of memory: then nothing gathers.
    private let written: System.DatagramBatch?
    /// The bytes of those that are written down, which must stay where they are.
    private var bytes: [[UInt8]] = []
    /// How many of them were dealt with: sent, or refused.
    private var done = 0

    init() {
        written = try? System.DatagramBatch()
        bytes.reserveCapacity(System.mostDatagrams)
    }

    var isFull: Bool { bytes.count == System.mostDatagrams }
    var isEmpty: Bool { bytes.isEmpty }

    /// Writes an answer down; false when it is the caller's to send.
    mutating func put(_ answer: [UInt8], to address: SocketAddress, by passage: System.Passage) -> Bool {
        // What is longer than any datagram is refused by the system, and the refusal is its sender's.
        guard written != nil, !isFull, answer.count <= DatagramSocket.largestUDP else { return false }
        do throws(Errno) {
            // Safety: an array's storage stays where it is for as long as the array, which is kept here, is not changed.
            try written?.put(pointer(to: answer.span.bytes), to: address, by: passage, at: bytes.count)
        } catch {
            return false
        }
        bytes.append(answer)
        return true
    }

    /// What came of sending.
    enum Sent {
        /// All are dealt with, and the batch is empty again.
        case all
        /// The socket's buffer is full; the rest is still here.
        case untilFull
        /// The system had no memory for the next one, which nothing tells the end of; the rest is still here.
        case untilShortage
    }

    /// Sends as many as the kernel takes now. `refused` is told the place and the receiver of each that it refuses.
    mutating func send(_ descriptor: CInt, refused: (Int, SocketAddress, Errno) -> Void) -> Sent {
        while done < bytes.count {
            do throws(Errno) {
                let attempt = try written?.send(descriptor, from: done, count: bytes.count - done)
                guard case .done(let count) = attempt, count > 0 else { return .untilFull }
                done += count
            } catch .noBufferSpace {
                return .untilShortage
            } catch {
                refused(done, written?.address(at: done) ?? .unnamed, error)
                done += 1
            }
        }
        empty()
        return .all
    }

    /// Lets go of those that are not sent yet; `refused` is told the place and the receiver of each.
    mutating func giveUp(refused: (Int, SocketAddress) -> Void) {
        for place in done..<bytes.count { refused(place, written?.address(at: place) ?? .unnamed) }
        empty()
    }

    private mutating func empty() {
        done = 0
        bytes.removeAll(keepingCapacity: true)
    }
}

extension DatagramSocket {
    /// Has `attempt` send a batch, waiting for room where it must; nil when all are dealt with. Else why the rest was not
    /// sent: the socket was closed or the task cancelled, or the system has had no memory for a second.
    func sendBatch(_ attempt: (CInt) -> AnswerBatch.Sent) async -> SocketError? {
        // Datagrams do not mix, so this needs no turn unless it has to wait.
        if let sent = try? waitable.use({ fd in attempt(fd) }), sent == .all { return nil }
        for _ in 0..<100 {
            do throws(SocketError) {
                let isDone = try await perform(.send, .send, outcome: { _ in .done }) { (fd) throws(Errno) in
                    switch attempt(fd) {
                    case .all: .done(true)
                    case .untilFull: .wait(.send)
                    case .untilShortage: .done(false)
                    }
                }
                if isDone { return nil }
                try await EventLoop.sleep(for: .milliseconds(10))
            } catch {
                return error
            }
        }
        return error(.send, .system(.noBufferSpace))
    }
}
