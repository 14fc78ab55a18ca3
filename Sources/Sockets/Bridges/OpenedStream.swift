public import SocketCore

/// A connection to whatever an endpoint names, and what stands behind it.
public struct OpenedStream: Sendable {
    /// What is at the other end.
    public enum Counterpart: Sendable {
        /// A program that was not started here, behind a socket.
        case peer
        /// A program that was started for this.
        case program(ChildProcess)
        /// A file, a pipe or a terminal.
        case bridge(Bridge)
    }

    /// The stream.
    public let connection: Connection
    /// What is at its other end.
    public let counterpart: Counterpart

    init(_ connection: Connection) {
        self.connection = connection
        counterpart = .peer
    }

    init(_ program: ChildProcess) {
        connection = program.connection
        counterpart = .program(program)
    }

    init(_ bridge: Bridge) {
        connection = bridge.connection
        counterpart = .bridge(bridge)
    }

    /// Closes the connection and leaves nothing behind: a program is ended, with its group; what was sent to a file or a
    /// pipe is written out.
    ///
    /// Waits for a program as `ChildProcess.terminate` does, for a bridge as `Bridge.finish` does, at most for `grace` each
    /// time; for a peer not at all. A cancellation does not cut it short. Throws why a bridge failed, if it did. Tells how a
    /// program ended, nil for all else.
    @discardableResult
    public func finish(within grace: Duration = .seconds(2)) async throws(SocketError) -> ChildProcess.ExitStatus? {
        switch counterpart {
        case .peer: connection.close()
        case .program(let program): return await program.terminate(after: grace)
        case .bridge(let bridge): try await bridge.finish(within: grace)
        }
        return nil
    }

    /// Closes the connection and leaves nothing behind, blocking the thread.
    @available(*, noasync)
    @discardableResult
    public func finish(within grace: Duration = .seconds(2)) throws(SocketError) -> ChildProcess.ExitStatus? {
        switch counterpart {
        case .peer: connection.close()
        case .program(let program): return program.terminate(after: grace)
        case .bridge(let bridge): try bridge.finish(within: grace)
        }
        return nil
    }
}
