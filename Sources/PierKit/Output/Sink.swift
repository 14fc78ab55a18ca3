internal import Loops
internal import SocketCore
internal import struct SystemPackage.Errno

/// A stream of this process that is written by a thread of its own, so that a slow reader never holds up a loop.
///
/// What is to be written waits in a bounded buffer. When it is full, either the writers wait (standard output: nothing
/// may be lost) or lines are dropped and counted (standard error: no client may wait for it).
final class Sink: Sendable {
    private enum WhenFull { case wait, drop }

    private struct State {
        var buffer: [UInt8] = []
        var isWriting = false
        var hasThread = false
        var dropped = 0
        var failure: Errno?
        var waiting: [Bell] = []
    }

    private static let capacity = 1 << 20

    private let stream: CInt
    private let whenFull: WhenFull
    private let state = Lock(State())
    private let work = Bell()
    /// Told once, when the stream can no longer be written to.
    private let onFailure: @Sendable (Errno) -> Void
    /// The line that tells how many were dropped.
    private let lineForDropped: @Sendable (Int) -> String

    /// One whose writers wait when it is full.
    init(waitingFor stream: CInt, onFailure: @escaping @Sendable (Errno) -> Void) {
        self.stream = stream
        whenFull = .wait
        self.onFailure = onFailure
        lineForDropped = { _ in "" }
    }

    /// One whose lines are dropped when it is full.
    init(droppingTo stream: CInt, lineForDropped: @escaping @Sendable (Int) -> String) {
        self.stream = stream
        whenFull = .drop
        onFailure = { _ in }
        self.lineForDropped = lineForDropped
    }

    /// Writes a line, waiting for room where that is the rule. Suspends the task meanwhile; a cancelled one waits no more,
    /// and its line is dropped.
    func line(_ text: String) async {
        while let bell = put(text) {
            do throws(SocketError) {
                _ = try await bell.wait(until: .never, .send)
            } catch {
                return lineOrDrop(text)
            }
        }
    }

    /// Writes a line, waiting for room where that is the rule. Blocks the thread meanwhile.
    func lineBlocking(_ text: String) {
        while let bell = put(text) { bell.waitBlockingAnyway(until: .never) }
    }

    /// Writes a line if there is room, or drops it.
    func lineOrDrop(_ text: String) {
        _ = put(text, mayWait: false)
    }

    /// The same with a line that is made when it has got its place among the others; nil is none. One that matters finds room
    /// where ordinary ones are dropped already.
    func lineOrDrop(mattering matters: Bool = true, _ make: () -> String?) {
        _ = put(make(), mayWait: false, capacity: Self.capacity * (matters ? 2 : 1))
    }

    /// Puts a line into the buffer; or gives a bell that rings when there may be room.
    private func put(
        _ text: @autoclosure () -> String?, mayWait: Bool = true, capacity: Int = Sink.capacity
    ) -> Bell? {
        var needsThread = false
        var needsRing = false
        let bell: Bell? = state.withLock { state in
            if state.failure != nil { return nil }
            if state.buffer.count >= capacity {
                guard whenFull == .wait, mayWait else {
                    state.dropped += 1
                    return nil
                }
                let bell = Bell()
                state.waiting.append(bell)
                return bell
            }
            guard let text = text() else { return nil }
            needsRing = state.buffer.isEmpty
            state.buffer += text.utf8
            state.buffer.append(UInt8(ascii: "\n"))
            needsThread = !state.hasThread
            state.hasThread = true
            return nil
        }
        if needsThread, !Threads.start("output", { self.writeForEver() }) { fail(.resourceTemporarilyUnavailable) }
        if needsRing { work.ring() }
        return bell
    }

    private func writeForEver() {
        while true {
            work.waitBlockingAnyway(until: .never)
            while let piece = take() {
                do throws(Errno) {
                    try Standard.write(piece.bytes, to: stream)
                } catch {
                    // A full disk may have room again later; until then what comes is dropped, as by a slow reader.
                    guard whenFull == .drop, error == .noSpace || error == .diskQuotaExceeded else {
                        return fail(error)
                    }
                    state.withLock { $0.dropped += piece.lines }
                }
            }
        }
    }

    /// All that waits to be written, with word of what was dropped, and for how many lines it stands; nil when there is
    /// nothing.
    private func take() -> (bytes: [UInt8], lines: Int)? {
        let (piece, waiting) = state.withLock { state -> ((bytes: [UInt8], lines: Int)?, [Bell]) in
            defer { state.waiting = [] }
            state.isWriting = !state.buffer.isEmpty
            guard state.isWriting else { return (nil, state.waiting) }
            var piece = state.buffer
            let lines = state.dropped + piece.count { $0 == UInt8(ascii: "\n") }
            if state.dropped > 0 {
                piece += (lineForDropped(state.dropped) + "\n").utf8
                state.dropped = 0
            }
            state.buffer = []
            return ((piece, lines), state.waiting)
        }
        for bell in waiting { bell.ring() }
        return piece
    }

    private func fail(_ error: Errno) {
        let waiting = state.withLock { state in
            state.failure = error
            state.buffer = []
            state.isWriting = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for bell in waiting { bell.ring() }
        onFailure(error)
    }

    /// Blocks the thread until everything is written; throws when it cannot be, or not in time.
    func flush(until deadline: Deadline) throws(Failure) {
        while true {
            let bell = Bell()
            let (isDone, failure) = state.withLock { state in
                state.waiting.append(bell)
                return (state.buffer.isEmpty && !state.isWriting, state.failure)
            }
            if let failure { throw Failure(output: failure) }
            if isDone { return }
            if deadline.isPast {
                throw Failure(
                    .failed,
                    text(
                        "standard output: nobody reads it, and not all that was shown could be written",
                        "标准输出：没有人读取，显示的内容没能全部写出"))
            }
            bell.waitBlockingAnyway(until: deadline)
        }
    }
}
