internal import Loops
public import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Who holds the stream, and when it ends
//
// The program has one end of a socket pair for both its standard input and its standard output, and `connection` is the
// other. So everything that holds for a connection holds here: `finishSending` is the end of its input; when it shuts its
// output down, it may still read. A program that closes its output, and neither ends nor closes its input, has not finished:
// the socket is still open, and nothing tells that one of its two numbers is gone.
//
// The stream ends when the last descriptor of the program's end is closed, and every process that it started has one,
// unless it was given other streams. A program that exits and leaves a child behind has therefore not ended the stream:
// the child may still have something to say, as in a shell's pipeline, and none of that is lost. `wait` tells that the
// program has ended; `terminate` ends the others too.

/// A program that runs with its standard input and output joined to a connection.
///
/// It is the leader of a process group of its own, its signals are as at a login, and it has this process's standard error
/// and no other descriptor. When it has ended it is reaped at once, whether somebody waits for that or not.
public final class ChildProcess: Sendable {
    /// How a program ended.
    public enum ExitStatus: Sendable, Hashable {
        /// By itself; 0 is success.
        case exited(CInt)
        /// By a signal.
        case signalled(CInt)
        /// Another part of this process took its end, or has the system forget its children (`SIGCHLD` ignored).
        case unknown
    }

    /// What was run.
    public let command: Endpoint.Command
    /// What is sent to it is its standard input, and what is received its standard output.
    public let connection: Connection
    /// The number of its process, and of its group, as long as it runs.
    public var processID: CInt { reaper.process }
    /// How it ended; nil while it runs.
    public var exitStatus: ExitStatus? { reaper.end.value }
    private let reaper: Reaper

    /// Runs a program: its path, or a name that is looked for in `PATH`. No shell takes part.
    ///
    /// `client` is for whom: the program finds the addresses of that connection's two ends in `PIER_PEER_ADDRESS` and
    /// `PIER_LOCAL_ADDRESS`, as endpoints print. There is no more of a peer in its environment: a Unix peer, which chooses
    /// its own name, is not told.
    ///
    /// Blocks the thread until the program has begun, which takes about a millisecond. Throws `.system` when there is no
    /// such program, when it may not be run, and when the process has no descriptors left. Corresponds to
    /// `socketpair(2)` and `posix_spawnp(3)`.
    public convenience init(
        running command: Endpoint.Command, for client: Connection? = nil, duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(
            running: command, for: client.map { ClientAddresses(of: $0) }, duplex: duplex, trace: trace)
    }

    /// The same for a client of whom only the addresses are known.
    package init(
        running command: Endpoint.Command, for client: ClientAddresses?, duplex: Duplex, trace: Trace?
    ) throws(SocketError) {
        let pair: (CInt, CInt)
        let process: CInt
        do throws(Errno) {
            pair = try System.socketPair(family: AF_UNIX, kind: System.kindStream)
            let ours = Descriptor(owning: pair.0)
            // Ours alone until it runs; then it is closed here, or the stream would have no end.
            let its = Descriptor(owning: pair.1)
            try System.makeBlocking(its.rawValue)
            process = try System.spawn(
                command.arguments, settings: client?.settings ?? [], standardStreams: its.rawValue)
            _ = consume its
            connection = Connection(ours, origin: .paired, remote: .unnamed, duplex: duplex, trace: trace)
        } catch {
            throw SocketError(.run, .system(error), target: "\(Endpoint(trusting: .program, .program(command)))")
        }
        self.command = command
        reaper = Reaper(process)
        reaper.start()
    }

    // MARK: Its end

    /// Waits until the program has ended, and tells how.
    ///
    /// Any number may wait. The stream may go on, where the program left others behind that hold its end. Throws `.cancelled`
    /// as soon as the task is. Corresponds to `waitid(2)`.
    public func wait() async throws(SocketError) -> ExitStatus {
        try await reaper.end.wait(.run) ?? .unknown
    }

    /// Blocks the thread until the program has ended, and tells how.
    ///
    /// Throws only where blocking is misuse, on a loop's thread. Corresponds to `waitid(2)`.
    @available(*, noasync)
    public func wait() throws(SocketError) -> ExitStatus {
        if let misuse = misuseOnLoop() { throw SocketError(.run, misuse) }
        return reaper.end.waitBlocking() ?? .unknown
    }

    /// Closes the connection and sees to it that the program ends, with all of its group.
    ///
    /// A program that reads finds the end of its input, and mostly ends by itself. After `grace` it is sent SIGTERM, after as
    /// much again SIGKILL. What it has started and left behind in its group is ended in the same way: SIGTERM, and SIGKILL
    /// after `grace`. What is to outlive it has a session of its own (`setsid(2)`). Where the kernel is older than 6.9,
    /// those whose leader has ended are left to themselves.
    ///
    /// Waits until the program has ended. A cancellation does not cut it short, so that nothing is left. Corresponds to
    /// `close(2)`, `kill(2)` and `waitid(2)`.
    @discardableResult
    public func terminate(after grace: Duration = .seconds(2)) async -> ExitStatus {
        let work = Task { [self] in
            connection.close()
            for signal in [0, SIGTERM, SIGKILL] {
                if signal != 0 { reaper.signalGroup(signal) }
                let deadline = signal == SIGKILL ? Deadline.never : .after(grace)
                if (try? await reaper.end.wait(until: deadline, .run)) ?? nil != nil { break }
            }
            let last = Deadline.after(grace)
            var isGone = !reaper.signalGroup(SIGTERM)
            // The kernel tells of no group's end, so it is asked.
            while !isGone, !last.isPast {
                try? await EventLoop.sleep(for: Self.glance)
                isGone = !reaper.signalGroup(0)
            }
            if !isGone { reaper.signalGroup(SIGKILL) }
            return exitStatus ?? .unknown
        }
        return await work.value
    }

    /// Closes the connection and sees to it that the program ends, with all of its group.
    ///
    /// Blocks the thread as the form with `await` suspends the task.
    @available(*, noasync)
    @discardableResult
    public func terminate(after grace: Duration = .seconds(2)) -> ExitStatus {
        connection.close()
        for signal in [0, SIGTERM, SIGKILL] {
            if signal != 0 { reaper.signalGroup(signal) }
            if reaper.end.waitBlocking(until: signal == SIGKILL ? .never : .after(grace)) != nil { break }
        }
        let last = Deadline.after(grace)
        var isGone = !reaper.signalGroup(SIGTERM)
        while !isGone, !last.isPast {
            Bell.pauseThread(for: Self.glance)
            isGone = !reaper.signalGroup(0)
        }
        if !isGone { reaper.signalGroup(SIGKILL) }
        return exitStatus ?? .unknown
    }

    /// Sends a signal to the program and all of its group; false when nobody is there. Never waits. Corresponds to `kill(2)`.
    @discardableResult
    package func signal(_ number: CInt) -> Bool { reaper.signalGroup(number) }

    /// Whether a signal has ended it that this process did not send: what it had to say is cut off. That nobody read it
    /// (SIGPIPE) is no such signal.
    package var isKilled: Bool {
        guard case .signalled(let signal) = exitStatus else { return false }
        return signal != SIGPIPE && !reaper.hasSignalled
    }

    /// Whether it has ended badly, by its own doing: it was killed, or has failed though it was heard to its end.
    package var hasFailed: Bool {
        guard case .exited(let code) = exitStatus else { return isKilled }
        return code != 0 && !reaper.hasSignalled && !connection.hasStoppedReceiving
    }

    /// When its stream has ended it ends too, mostly a moment later: waits for that, but not for long, since a program may
    /// go on without its stream. Returns as soon as the task is cancelled.
    package func awaitEndOfStream() async {
        guard exitStatus == nil, connection.isBroken else { return }
        _ = try? await reaper.end.wait(until: .after(Self.patience), .run)
    }

    private static let patience = Duration.seconds(1)
    private static let glance = Duration.milliseconds(10)
}

extension ChildProcess.ExitStatus: CustomStringConvertible {
    /// `status 1`, `signal 15`.
    public var description: String {
        switch self {
        case .exited(let code): "status \(code)"
        case .signalled(let signal): "signal \(signal)"
        case .unknown: "an unknown status"
        }
    }
}
