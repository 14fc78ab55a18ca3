internal import Loops
public import SocketCore

extension Connection {
    /// Sends on to `destination` all that comes, until the peer has finished sending; gives how many bytes that were. The
    /// destination may be this connection itself: that is an echo.
    ///
    /// Does what a loop of `receive(upTo: size)` and `send` does, for less: the bytes of a task on an event loop are moved by
    /// the loop itself, which wakes the task only at the end; a destination that belongs to another loop, a trace or
    /// `duplex: .half` takes the verbs. Meanwhile other receives of this connection wait their turn, and other sends of the
    /// destination for the message under way. The end is not passed on: that is `destination.finishSending()`.
    ///
    /// Waits while nothing comes, and while the destination's peer does not read; at the most `size` bytes (no more than
    /// 64 KiB) are held meanwhile. Throws as `receive(upTo:)` of this and `send` of the other do; bytes that were received
    /// may then not have been sent. Corresponds to `recv(2)` and `send(2)`.
    @discardableResult
    public func forward(to destination: Connection, upTo size: Int = 65536) async throws(SocketError) -> UInt64 {
        try await move(to: destination, upTo: max(1, size), counting: nil)
    }

    /// What `forward` does, counting into a relay's flow too.
    @inline(__always)
    func move(
        to destination: Connection, upTo size: Int, counting flow: Relay.Flow?
    ) async throws(SocketError) -> UInt64 {
        var messages = 0
        var count: UInt64 = 0
        while true {
            if messages >= Self.messagesBeforeTransfer, mayTransfer(to: destination),
                let transfer = Transfer(from: self, to: destination, upTo: size, counting: flow)
            {
                return try await count &+ drive(transfer, to: destination)
            }
            guard let message = try await receive(upTo: size) else { return count }
            flow?.received()
            try await destination.send(message)
            count &+= UInt64(message.count)
            flow?.add(message.count)
            messages &+= 1
        }
    }

    /// Who says little costs no more memory than any other client: the object that moves what comes is made for the others.
    private static let messagesBeforeTransfer = 4

    /// A trace tells of each verb, and where one may speak at a time each message takes its turn.
    @inline(never)
    private func mayTransfer(to destination: Connection) -> Bool {
        trace == nil && destination.trace == nil && duplex == .full && destination.duplex == .full
    }

    /// Waits until a transfer has come to its end.
    @inline(never)
    private func drive(_ transfer: Transfer, to destination: Connection) async throws(SocketError) -> UInt64 {
        if waitable.tryTakeTurn(.receive) != .mine { try await queue(.receive, .receive, .receive) }
        defer { waitable.giveTurn(.receive) }
        defer { transfer.giveTurn() }
        try waitable.register()
        try destination.waitable.register()
        while true {
            if let refusal = refusal(.receive, .receive) ?? destination.refusal(.send, .send) { throw refusal }
            // Where there is always something to move no wait has looked at these.
            if isClosed || waitable.isLoopClosed { throw error(.receive, .closed) }
            if destination.isClosed { throw destination.error(.send, .closed) }
            await wait(for: transfer, to: destination)
            switch transfer.outcome {
            case .finished: return transfer.count
            case .needsTurn:
                try await destination.queue(.send, .send, .send)
                transfer.takeOverTurn()
            case .changed(.receive): try recheck(.receive, .receive, 0)
            case .changed(.send): try destination.recheck(.send, .send, 0)
            case .failed(.receive, let errno): throw failed(.receive, errno, 0)
            case .failed(.send, let errno): throw destination.failed(.send, errno, 0)
            }
        }
    }

    @inline(__always)
    private func wait(for transfer: Transfer, to destination: Connection) async {
        if waitable.isServed(by: RunningTask.current) {
            _ = await suspended { transfer.start($0) }
        } else {
            await withTaskCancellationHandler {
                _ = await suspended { transfer.start($0) }
            } onCancel: {
                waitable.recheck()
                destination.waitable.recheck()
            }
        }
    }
}
