internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a bridge's threads do: each carries one direction between the bridge's end of the socket pair and a descriptor.
final class Crossing: Sendable {
    /// Told when both directions have ended and the descriptors are closed.
    let end = Completion<Void>()
    private let socket: CInt
    private let alarm: CInt
    private let name: String
    private let source: BridgedDescriptor?
    private let sink: BridgedDescriptor?

    private struct State {
        /// How many directions have not ended. The last closes the descriptors.
        var left: Int
        var failure: SocketError?
        /// Why the source has not said all.
        var sourceFailure: SocketError?
    }
    private let state: Lock<State>

    init(
        _ socket: consuming Descriptor, _ alarm: consuming Descriptor, _ name: String,
        from source: BridgedDescriptor?, to sink: BridgedDescriptor?
    ) {
        self.socket = socket.release()
        self.alarm = alarm.release()
        self.name = name
        self.source = source
        self.sink = sink
        state = Lock(State(left: (source == nil ? 0 : 1) + (sink == nil ? 0 : 1)))
    }

    /// Why a direction ended before its time; the first, where both did.
    var failure: SocketError? { state.withLock { $0.failure } }

    /// Why what the source has said is no whole, though an end follows it; nil where it is.
    var sourceFailure: SocketError? { state.withLock { $0.sourceFailure } }

    /// Starts a thread for each direction. When it throws, the descriptors of the socket pair are closed, or will be soon.
    func start() throws(Errno) {
        do throws(Errno) {
            if sink == nil { try System.shutdown(socket, how: CInt(SHUT_RD)) }
            if let source, !Threads.start("bridge in", { [self] in read(from: source) }) {
                throw Errno.resourceTemporarilyUnavailable
            }
        } catch {
            for end in [source, sink] where end != nil { ended() }
            throw error
        }
        guard let sink else { return }
        guard Threads.start("bridge out", { [self] in write(to: sink) }) else {
            stop()
            ended()
            throw Errno.resourceTemporarilyUnavailable
        }
    }

    /// Ends both directions now, whatever they wait for.
    func stop() {
        state.withLock { state in
            // Afterwards the number may be another's.
            guard state.left > 0 else { return }
            var one: UInt64 = 1
            _ = withUnsafeBytes(of: &one) { try? System.write(alarm, $0) }
        }
    }

    /// Has the sink closed when all is written, though it is the process's own.
    func giveUpSink() { sink?.giveUp() }

    /// To be told before the connection can find its end: who finds it asks.
    private func failed(_ operation: SocketError.Operation, _ cause: SocketError.Cause) {
        let failure = SocketError(operation, cause, target: name)
        state.withLock { state in
            state.failure = state.failure ?? failure
            if operation == .read { state.sourceFailure = failure }
        }
    }

    private func ended() {
        let isLast = state.withLock { state in
            state.left -= 1
            guard state.left == 0 else { return false }
            _ = Descriptor(owning: socket)
            _ = Descriptor(owning: alarm)
            return true
        }
        if isLast { end.finish(()) }
    }

    /// A pipe that poll(2) calls writable takes so many bytes without blocking (`PIPE_BUF`).
    private static let pipeful = 4096
    private static let size = 65536
    private static let gone = CShort(POLLHUP | POLLERR | POLLNVAL)

    /// What one of the waits ended with.
    private enum Wake { case ready, peerGone, stopped }

    /// Blocks the thread until a descriptor is ready. `watched` is the socket, where it is not what is waited for.
    private func wait(
        for descriptor: CInt, _ events: Int32, watching watched: CInt? = nil, for signs: CShort = 0
    ) throws(Errno) -> Wake {
        while true {
            // A negative number is passed over by poll(2).
            var entries = [
                pollfd(fd: descriptor, events: CShort(events), revents: 0),
                pollfd(fd: alarm, events: CShort(POLLIN), revents: 0),
                pollfd(fd: watched ?? -1, events: 0, revents: 0),
            ]
            guard try System.poll(&entries, milliseconds: -1) != nil else { continue }
            if entries[1].revents != 0 { return .stopped }
            if entries[2].revents & signs != 0 { return .peerGone }
            if entries[0].revents != 0 { return .ready }
        }
    }

    // MARK: From the source

    /// Carries what is read to the connection, until the source ends or nobody receives any more.
    private func read(from source: BridgedDescriptor) {
        defer {
            source.leave()
            try? System.shutdown(socket, how: CInt(SHUT_WR))
            ended()
        }
        let terminal = System.reopenedTerminal(source.rawValue)?.release()
        defer { if let terminal { _ = Descriptor(owning: terminal) } }
        let descriptor = terminal ?? source.rawValue
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.size, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count: Int
            do throws(Errno) {
                let wake = try wait(for: descriptor, POLLIN, watching: socket, for: Self.gone)
                guard wake == .ready else { return }
                // Another reader of the same pipe or terminal may have been faster.
                guard case .done(let got) = try System.read(descriptor, into: buffer) else { continue }
                count = got
            } catch {
                return failed(.read, .system(error))
            }
            guard count > 0, pass(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return }
        }
    }

    /// Sends all of the bytes; false when nobody receives them.
    private func pass(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            do throws(Errno) {
                switch try System.send(socket, rest) {
                case .done(let count): rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                case .wait: guard try wait(for: socket, POLLOUT) == .ready else { return false }
                }
            } catch {
                return false
            }
        }
        return true
    }

    // MARK: To the sink

    /// Carries what the connection sends to the sink, until the connection finishes or the sink fails.
    private func write(to sink: BridgedDescriptor) {
        var isLost = false
        if let cause = carry(to: sink, &isLost) {
            failed(.write, cause)
            // What comes now has nowhere to go, and its sender is told.
            try? System.shutdown(socket, how: CInt(SHUT_RD))
            // Who has sent all that it wanted to would wait for the source for ever.
            if isLost || hasMore {
                state.withLock { $0.sourceFailure = $0.sourceFailure ?? $0.failure }
                stop()
            }
        }
        // Closed first: who then receives the end may rely on it.
        sink.leave()
        if source == nil { try? System.shutdown(socket, how: CInt(SHUT_WR)) }
        ended()
    }

    /// Whether something has come that is not written.
    private var hasMore: Bool {
        withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { (received(into: $0) ?? 0) > 0 }
    }

    /// Why the sink takes no more, unless the connection has finished; and whether something that had come is lost by that.
    private func carry(to sink: BridgedDescriptor, _ isLost: inout Bool) -> SocketError.Cause? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.size, alignment: 16)
        defer { buffer.deallocate() }
        let (descriptor, isFile) = (sink.rawValue, sink.isFile)
        while true {
            do throws(Errno) {
                // A pipe whose reader has gone says so before anything is written, and so does a terminal that hung up;
                // poll(2) would tell it again and again.
                switch try wait(for: socket, POLLIN, watching: isFile ? nil : descriptor, for: Self.gone) {
                case .stopped: return hasMore ? .timedOut : nil
                case .peerGone: throw Errno.brokenPipe
                case .ready: break
                }
                guard let count = received(into: buffer) else { continue }
                if count == 0 { return nil }
                isLost = true
                let isWritten = try put(
                    UnsafeRawBufferPointer(rebasing: buffer[..<count]), descriptor, isFile: isFile)
                if !isWritten { return .timedOut }
                isLost = false
            } catch {
                return .system(error)
            }
        }
    }

    /// How many bytes came; none at the end, however that came about; nil when there is none yet.
    private func received(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        do throws(Errno) {
            guard case .done(let count) = try System.receive(socket, into: buffer) else { return nil }
            return count
        } catch {
            // The connection was closed with bytes in it that nobody received. All that it sent came before this.
            return 0
        }
    }

    /// Writes all of the bytes; false when the bridge was told to stop.
    private func put(_ bytes: UnsafeRawBufferPointer, _ descriptor: CInt, isFile: Bool) throws(Errno) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            if !isFile, try wait(for: descriptor, POLLOUT) == .stopped { return false }
            let most = isFile ? rest.count : min(rest.count, Self.pipeful)
            let attempt = try System.write(descriptor, UnsafeRawBufferPointer(rebasing: rest.prefix(most)))
            if case .done(let count) = attempt { rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count)) }
        }
        return true
    }
}
