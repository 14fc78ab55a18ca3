internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Why there are threads
//
// A file, a pipe or a terminal is no socket. epoll(7) refuses a file; and what was inherited is shared with the shell and
// others, who would see O_NONBLOCK. So one direction is one thread, which waits with poll(2) and then reads or writes;
// between it and the rest of Pier is a socket pair, one end of which is the connection.
//
// How ends are passed on:
// - The source ends: the connection receives what came, and then the end.
// - `finishSending`: what was sent is written out, and then the sink is closed, so that a pipe's reader finds the end.
// - Without a source, the connection receives its end when all that was sent is written: until then it might have failed.
// - Without a sink, nothing can be sent: a send fails as to a peer that no longer reads (`Errno.brokenPipe`).
// - Reading or writing fails: that direction ends so, and the failure is kept. What could not be written ends the other
//   direction too.
// - `close`: no more is read, and what was sent before is written out.

/// Files, pipes and terminals joined to a connection.
///
/// Where the system fails to read or to write, that direction of the connection ends, and why is told by `finish`.
public final class Bridge: Sendable {
    /// What is sent to it is written, and what is received from it was read.
    public let connection: Connection
    /// What is joined, as its endpoint prints.
    public let name: String
    /// What the threads do. They keep it, and not the bridge: a connection that is let go must close, and end them.
    private let crossing: Crossing

    /// Joins a source, a sink or both.
    init(
        _ name: String, from source: BridgedDescriptor?, to sink: BridgedDescriptor?, duplex: Duplex, trace: Trace?
    ) throws(SocketError) {
        self.name = name
        do throws(Errno) {
            let pair = try System.socketPair(family: AF_UNIX, kind: System.kindStream)
            connection = Connection(
                Descriptor(owning: pair.0), origin: .paired, remote: .unnamed, duplex: duplex, trace: trace)
            let far = Descriptor(owning: pair.1)
            crossing = Crossing(far, try System.eventCounter(isCounted: true), name, from: source, to: sink)
            try crossing.start()
        } catch {
            throw SocketError(.open, .system(error), target: name)
        }
    }

    /// Why a direction ended before its time; nil if none has, so far.
    public var failure: SocketError? { crossing.failure }

    /// Why what it has said is no whole, though an end follows it; nil where it is.
    package var sourceFailure: SocketError? { crossing.sourceFailure }

    /// Waits until both directions have ended, however that came about.
    package func awaitEnd() async { _ = try? await crossing.end.wait(.write) }

    /// Has standard output closed when all that was sent is written, so that its reader finds the end: for a process that has
    /// nothing else to say there. Its number stays taken.
    package func giveUpOutput() { crossing.giveUpSink() }

    /// Closes the connection, and waits until all that was sent to it has been written, at most for `grace`.
    ///
    /// Throws why reading or writing failed, if it did, and `.timedOut` where a reader took nothing for so long: the rest is
    /// then not written. A cancellation does not cut it short.
    public func finish(within grace: Duration = .seconds(5)) async throws(SocketError) {
        connection.close()
        let work = Task { [crossing] in
            if (try? await crossing.end.wait(until: .after(grace), .write)) ?? nil != nil { return }
            crossing.stop()
            _ = try? await crossing.end.wait(.write)
        }
        await work.value
        if let failure { throw failure }
    }

    /// Closes the connection, and blocks the thread until all that was sent to it has been written, at most for `grace`.
    ///
    /// Throws as the form with `await` does.
    @available(*, noasync)
    public func finish(within grace: Duration = .seconds(5)) throws(SocketError) {
        if let misuse = misuseOnLoop() { throw SocketError(.write, misuse, target: name) }
        connection.close()
        if crossing.end.waitBlocking(until: .after(grace)) == nil {
            crossing.stop()
            _ = crossing.end.waitBlocking()
        }
        if let failure { throw failure }
    }
}
