internal import SocketCore
internal import Sockets
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Standard input: a terminal, a pipe, a file, /dev/null or a socket, read by one thread at a time with poll(2) and read(2).
///
/// It is never made non-blocking: that would be seen by every process which shares it, the shell among them.
final class StandardInput: Sendable {
    private struct State {
        /// Whether a read has found end-of-file.
        var hasEnded = false
        /// Whether a signal has stopped the reading for good.
        var isStopped = false
        /// Whether reading is suspended until `resume`.
        var isInterrupted = false
        /// Whether the reader has bytes that it has not passed on yet.
        var isTaken = false
        /// What was read, or put back, and not used yet.
        var held: [UInt8] = []

        /// The first `count` bytes of `held`, for the reader to pass on; none when it is stopped or interrupted.
        mutating func take(_ count: Int) -> [UInt8] {
            guard !isStopped, !isInterrupted else { return [] }
            isTaken = true
            defer { held.removeFirst(count) }
            return Array(held.prefix(count))
        }

        var mayRead: Bool { !hasEnded && !isStopped && !isInterrupted }
    }

    private let trace: Trace?
    private let alarm: CInt
    /// What is read: descriptor 0, or the same terminal without blocking.
    private let source: CInt
    private let state = Lock(State())

    init(trace: Trace?) throws(Failure) {
        self.trace = trace
        source = System.reopenedTerminal(0, isCounted: false)?.release() ?? 0
        do throws(Errno) {
            alarm = try System.eventCounter(isCounted: false).release()
        } catch {
            throw Failure(SocketError(.loop, .system(error)))
        }
    }

    /// Whether a read has found end-of-file.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Whether nothing more will be read: it has ended, or `stop` was called.
    var isOver: Bool { state.withLock { $0.hasEnded || $0.isStopped } }

    /// Whether `stop` was called.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Whether a person types it.
    let isTerminal = Standard.isTerminal(0)

    /// Stops reading for good; a blocked read returns nil at once. From another thread.
    func stop() {
        state.withLock { $0.isStopped = true }
        ringAlarm()
    }

    /// Whether the reader has passed on, or given back, all that it has read.
    var isAtRest: Bool { state.withLock { !$0.isTaken } }

    /// The reader has passed on what it read, or has failed to.
    func passedOn() { state.withLock { $0.isTaken = false } }

    /// Has who reads it get nil from another thread, though it has not ended, until it is resumed.
    func interrupt() {
        state.withLock { $0.isInterrupted = true }
        ringAlarm()
    }

    private func ringAlarm() {
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { try? System.write(alarm, $0) }
    }

    /// Lets it be read again after an interruption.
    func resume() {
        let wasInterrupted = state.withLock { state in
            defer { state.isInterrupted = false }
            return state.isInterrupted
        }
        guard wasInterrupted else { return }
        // It rings for what was; who stops it later sets its state first, so that no word of it is lost here.
        var count: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &count) { try? System.read(alarm, into: $0) }
    }

    /// Gives back what was read and not used, to be read next.
    func putBack(_ bytes: [UInt8]) {
        state.withLock { state in
            state.held = bytes + state.held
            state.isTaken = false
        }
    }

    /// Whether all of it was read to end-of-file and passed on.
    var isWhole: Bool { state.withLock { $0.hasEnded && $0.held.isEmpty && !$0.isTaken } }

    /// Reads up to `count` bytes. Blocks the thread until there are some. Nil at end-of-file, when another thread stops or
    /// interrupts it, and when the peer's socket, `watching`, can carry nothing more in either direction (`POLLHUP`).
    func read(upTo count: Int, watching socket: CInt? = nil) throws(Failure) -> [UInt8]? {
        let kept = state.withLock { state -> [UInt8]? in
            // What was put back is sent also after end-of-file.
            guard !state.held.isEmpty else { return nil }
            return state.take(min(count, state.held.count))
        }
        if let kept { return kept.isEmpty ? nil : kept }
        return try readAnew(upTo: count, watching: socket)
    }

    /// How many bytes wait to be read, as far as the system can say; nil at end-of-file. None is taken, so that the next
    /// reader of the same input finds all of them. For when no thread reads here.
    var waiting: Int? {
        let (held, hasEnded) = state.withLock { ($0.held.count, $0.hasEnded) }
        if hasEnded { return held == 0 ? nil : held }
        var entries = [pollfd(fd: 0, events: CShort(POLLIN), revents: 0)]
        guard let ready = try? System.poll(&entries, milliseconds: 0), ready > 0 else { return held }
        // An input that is readable and has nothing is at its end.
        let all = held + System.bytesLeft(0)
        return all == 0 ? nil : all
    }

    private static let peerHasFinished = CShort(0x2000)  // POLLRDHUP of poll(2), which Swift does not import

    private func readAnew(
        upTo count: Int, watching socket: CInt? = nil, for ends: CShort = 0
    ) throws(Failure) -> [UInt8]? {
        var began: Deadline?
        while state.withLock({ $0.mayRead }) {
            do throws(Errno) {
                // poll(2) skips an entry with a negative number.
                var entries = [
                    pollfd(fd: source, events: CShort(POLLIN), revents: 0),
                    pollfd(fd: alarm, events: CShort(POLLIN), revents: 0),
                    pollfd(fd: socket ?? -1, events: ends, revents: 0),
                ]
                guard let ready = try System.poll(&entries, milliseconds: trace != nil && began == nil ? 0 : -1) else {
                    continue
                }
                if ready == 0 {
                    began = .now
                    continue
                }
                if entries[2].revents & (CShort(POLLHUP | POLLERR | POLLNVAL) | ends) != 0 { return nil }
                // An interrupted reader takes nothing: the bytes are for another peer, or for the next program.
                guard entries[0].revents != 0, entries[1].revents == 0,
                    state.withLock({ state in
                        state.isTaken = state.mayRead
                        return state.isTaken
                    })
                else { continue }
                var result = Attempt<Int>.wait(.receive)
                var failure: Errno?
                let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                    do throws(Errno) {
                        result = try System.read(source, into: UnsafeMutableRawBufferPointer(buffer))
                        if case .done(let got) = result { filled = got }
                    } catch {
                        failure = error
                    }
                }
                if let failure {
                    passedOn()
                    throw failure
                }
                // Another reader of the same terminal or pipe was faster.
                guard case .done(let got) = result else {
                    passedOn()
                    continue
                }
                tell(began, got)
                guard got == 0 else { return bytes }
                state.withLock { state in
                    state.hasEnded = true
                    state.isTaken = false
                }
            } catch {
                throw Failure(.failed, text("standard input: \(error.sentence)", "标准输入：\(error.said)"))
            }
        }
        return nil
    }

    private static let longestLine = 1 << 20

    /// The next line without its end; nil at the end, and when it is interrupted. A last line may lack its end. Blocks the
    /// thread. Nil also when the peer's socket, `watching`, can carry nothing more (`POLLHUP`); and where a person types,
    /// as soon as the peer has finished (`POLLRDHUP`).
    func line(watching socket: CInt? = nil) throws(Failure) -> [UInt8]? {
        var searched = 0
        while true {
            let (line, length, mayRead) = state.withLock { state -> ([UInt8]?, Int, Bool) in
                guard let end = state.held[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
                    // A part of a line is not a message yet.
                    state.isTaken = false
                    return (nil, state.held.count, state.mayRead)
                }
                return (state.take(end + 1), state.held.count, true)
            }
            if var line {
                guard line.popLast() != nil else { return nil }
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                return line
            }
            guard length <= Self.longestLine else {
                throw Failure(
                    .failed,
                    text(
                        "standard input: a line is longer than \(Self.longestLine) bytes; use --duplex full",
                        "标准输入：有一行超过了 \(Self.longestLine) 字节；请用 --duplex full"))
            }
            searched = length
            let ends = isTerminal ? Self.peerHasFinished : 0
            if mayRead, let more = try readAnew(upTo: 65536, watching: socket, for: ends) {
                state.withLock { $0.held += more }
                continue
            }
            return state.withLock { state in
                guard state.hasEnded, !state.held.isEmpty else { return nil }
                let last = state.take(state.held.count)
                return last.isEmpty ? nil : last
            }
        }
    }

    private func tell(_ began: Deadline?, _ count: Int) {
        guard let trace, let began else { return }
        let waited = Deadline.now.nanoseconds &- began.nanoseconds
        trace.tellWait(
            of: Standard.isTerminal(0) ? text("the keyboard", "键盘") : text("standard input", "标准输入"),
            .nanoseconds(Int64(clamping: waited)),
            until: count > 0 ? .came(count) : .ended)
    }
}
