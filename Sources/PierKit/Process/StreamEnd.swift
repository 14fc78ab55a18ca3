internal import SocketCore
internal import Sockets

/// How a stream ended behind its connection, and that nothing of it is left.
struct StreamEnd: Sendable {
    /// How its program ended, if it has one.
    private(set) var program: ChildProcess.ExitStatus?
    /// Why its file, pipe or terminal took no more, or gave no more.
    private(set) var failure: SocketError?

    /// Leaves nothing of a stream behind; a peer's is closed. Where all has gone well, who reads a pipe slowly is given the
    /// time to have it all.
    init(of stream: OpenedStream?, isWhole: Bool) async {
        guard let stream else { return }
        do throws(SocketError) {
            if isWhole, stream.bridge != nil {
                try await stream.finish(within: .forEver)
            } else {
                program = try await stream.finish()
            }
        } catch {
            failure = error
        }
    }

    /// The same, blocking the thread.
    @available(*, noasync)
    init(blockingOf stream: OpenedStream, isWhole: Bool) {
        do throws(SocketError) {
            if isWhole, stream.bridge != nil {
                try stream.finish(within: .forEver)
            } else {
                program = try stream.finish()
            }
        } catch {
            failure = error
        }
    }
}

extension OpenedStream {
    /// The file, pipe or terminal, if it is one.
    var bridge: Bridge? {
        if case .bridge(let bridge) = counterpart { bridge } else { nil }
    }

    /// Whether a person types what comes from there.
    var endsAtTerminal: Bool {
        switch counterpart {
        case .bridge(let bridge): bridge.name == "-" && Standard.isTerminal(0)
        case .peer, .program: false
        }
    }

    /// The program, if it is one that was started for this.
    var program: ChildProcess? {
        if case .program(let program) = counterpart { program } else { nil }
    }

    /// Why its program has ended badly, if it has.
    var programFailure: Failure? {
        guard let program, program.hasFailed, let status = program.exitStatus else { return nil }
        return Failure(.failed, status.said(of: peerName))
    }

    /// The stream, for the only one who is joined to it. Standard output's reader finds the end as soon as nothing more comes,
    /// though the process goes on for as long as there is input.
    func forGood(_ endpoint: Endpoint) -> OpenedStream {
        if endpoint.place == .standardStreams { bridge?.giveUpOutput() }
        return self
    }

    /// An error of the stream, by the name of what is at its other end: the socket pair between has none.
    func named(_ error: SocketError) -> SocketError {
        if case .peer = counterpart { return error }
        return SocketError(error.operation, error.cause, target: peerName)
    }

    /// What a person calls the other end: a peer's address, or the endpoint of what was opened.
    var peerName: String {
        switch counterpart {
        case .peer: connection.peerName
        case .program(let program): "\(Endpoint(trusting: .program, .program(program.command)))"
        case .bridge(let bridge): bridge.name
        }
    }
}
