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
        /// Whether nothing more will come of it: it has ended, or `stop` was called.
        var hasEnded = false
        /// Whether nobody is to read for the moment.
        var isInterrupted = false
    }

    private let trace: Trace?
    private let alarm: CInt
    private let state = Lock(State())
    /// What was read, or put back, and nobody has taken. Safety: belongs to the one thread that reads.
    nonisolated(unsafe) private var held: [UInt8] = []

    init(trace: Trace?) throws(Failure) {
        self.trace = trace
        do throws(Errno) {
            alarm = try System.eventCounter(isCounted: false).release()
        } catch {
            throw Failure(SocketError(.loop, .system(error)))
        }
    }

    /// Whether it has ended: what is read then is nil for ever.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Ends the input from another thread, now.
    func stop() {
        state.withLock { $0.hasEnded = true }
        ringAlarm()
    }

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
    func putBack(_ bytes: [UInt8]) { held = bytes + held }

    /// What comes next, up to a number of bytes; nil at the end, and when it is interrupted. Blocks the thread.
    func read(upTo count: Int) throws(Failure) -> [UInt8]? {
        guard !held.isEmpty else { return try readAnew(upTo: count) }
        guard state.withLock({ !$0.isInterrupted }) else { return nil }
        defer { held.removeFirst(min(count, held.count)) }
        return Array(held.prefix(count))
    }

    /// Whether nothing of it is left, as far as that can be known without taking any: who reads the same input next shall
    /// find all of it. For when nobody reads it here.
    func isUsedUp() -> Bool {
        guard held.isEmpty, !hasEnded else { return held.isEmpty }
        var entries = [pollfd(fd: 0, events: CShort(POLLIN), revents: 0)]
        // What is ready and has nothing to be read is at its end. What cannot say is a device, as /dev/null is: it has no rest.
        guard let ready = try? System.poll(&entries, milliseconds: 0), ready > 0 else { return false }
        do throws(Errno) { return try System.readableBytes(0) == 0 } catch {
            return error == .inappropriateIOCTLForDevice
        }
    }

    private func readAnew(upTo count: Int) throws(Failure) -> [UInt8]? {
        var began: Deadline?
        while state.withLock({ !$0.hasEnded && !$0.isInterrupted }) {
            do throws(Errno) {
                var entries = [
                    pollfd(fd: 0, events: CShort(POLLIN), revents: 0),
                    pollfd(fd: alarm, events: CShort(POLLIN), revents: 0),
                ]
                guard let ready = try System.poll(&entries, milliseconds: trace != nil && began == nil ? 0 : -1) else {
                    continue
                }
                if ready == 0 {
                    began = .now
                    continue
                }
                // Who is interrupted takes nothing more: it would be for another peer.
                guard entries[0].revents != 0, entries[1].revents == 0 else { continue }
                var result = Attempt<Int>.wait(.receive)
                var failure: Errno?
                let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                    do throws(Errno) {
                        result = try System.read(0, into: UnsafeMutableRawBufferPointer(buffer))
                        if case .done(let got) = result { filled = got }
                    } catch {
                        failure = error
                    }
                }
                if let failure { throw failure }
                // Another reader of the same terminal or pipe was faster.
                guard case .done(let got) = result else { continue }
                tell(began, got)
                guard got == 0 else { return bytes }
                state.withLock { $0.hasEnded = true }
            } catch {
                throw Failure(.failed, text("standard input: \(error.sentence)", "标准输入：\(error.said)"))
            }
        }
        return nil
    }

    private static let longestLine = 1 << 20

    /// The next line without its end; nil at the end, and when it is interrupted. A last line may lack its end. Blocks the
    /// thread.
    func line() throws(Failure) -> [UInt8]? {
        var searched = 0
        while true {
            if let end = held[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                var line = Array(held[..<end])
                held.removeFirst(end + 1)
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                return line
            }
            guard held.count <= Self.longestLine else {
                throw Failure(
                    .failed,
                    text(
                        "standard input: a line is longer than \(Self.longestLine) bytes; use --duplex full",
                        "标准输入：有一行超过了 \(Self.longestLine) 字节；请用 --duplex full"))
            }
            searched = held.count
            guard let more = try readAnew(upTo: 65536) else {
                guard hasEnded else { return nil }
                defer { held = [] }
                return held.isEmpty ? nil : held
            }
            held += more
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
