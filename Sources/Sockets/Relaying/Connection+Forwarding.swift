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
    /// 64 KiB) are held meanwhile, and where much comes at a time another 512 KiB in a pipe of the kernel's, of which the
    /// process has 64 at the most. Throws as `receive(upTo:)` of this and `send` of the other do; `bytesSent` of the error
    /// says how many bytes were sent on in all. Bytes that were received may then not have been sent, and if only a part of
    /// a message was sent it is cut: see `cutMessage` of the destination. Throws `.misuse` for a `size` below 1. Corresponds
    /// to `recv(2)` and `send(2)`.
    @discardableResult
    public func forward(to destination: Connection, upTo size: Int = 65536) async throws(SocketError) -> UInt64 {
        if let wrong = SocketError.Cause.refusing("size", size) { throw error(.receive, wrong) }
        return try await move(to: destination, upTo: size, counting: nil)
    }

    /// What `forward` does, counting into a relay's flow too.
    @inline(__always)
    func move(
        to destination: Connection, upTo size: Int, counting flow: Relay.Flow?
    ) async throws(SocketError) -> UInt64 {
        // Before anything is received, which could then not be sent.
        if let cut = destination.cutError(.send, .send) { throw cut }
        var messages = 0
        var count: UInt64 = 0
        do throws(SocketError) {
            while true {
                if messages >= Self.messagesBeforeTransfer, mayTransfer(to: destination),
                    let transfer = Transfer(from: self, to: destination, upTo: size, counting: flow)
                {
                    return try await count &+ drive(transfer, to: destination)
                }
                guard let message = try await receive(upTo: size) else { return count }
                flow?.received()
                do throws(SocketError) {
                    try await destination.send(message)
                } catch {
                    flow?.add(error.bytesSent)
                    throw error
                }
                count &+= UInt64(message.count)
                flow?.add(message.count)
                messages &+= 1
            }
        } catch {
            throw error.afterSending(Int(clamping: count &+ UInt64(error.bytesSent)))
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
    ///
    /// A client that has said much and is silent now waits here, so what need not be in this frame is in another.
    @inline(never)
    private func drive(_ transfer: Transfer, to destination: Connection) async throws(SocketError) -> UInt64 {
        if waitable.tryTakeTurn(.receive) != .mine { try await queue(.receive, .receive, .receive) }
        defer { end(transfer) }
        do throws(SocketError) {
            repeat {
                try prepare(transfer, to: destination)
                if waitable.isServed(by: RunningTask.current) {
                    _ = await suspended { transfer.start($0) }
                } else {
                    await waitCancellably(for: transfer, to: destination)
                }
                if transfer.needsTurn { try await transfer.queueForTurn() }
            } while try goesOn(transfer, to: destination)
        } catch {
            transfer.noteCut(error)
            throw error.afterSending(Int(clamping: transfer.count))
        }
        return transfer.count
    }

    /// Why it is not even tried; and both sockets in their loop.
    @inline(never)
    private func prepare(_ transfer: Transfer, to destination: Connection) throws(SocketError) {
        if let refusal = refusal(.receive, .receive) ?? destination.refusal(.send, .send) { throw refusal }
        // Where there is always something to move no wait has looked at these.
        if isClosed || waitable.isLoopClosed { throw error(.receive, .closed) }
        if destination.isClosed { throw destination.error(.send, .closed) }
        try waitable.register()
        try destination.waitable.register()
    }

    @inline(never)
    private func waitCancellably(for transfer: Transfer, to destination: Connection) async {
        await withTaskCancellationHandler {
            _ = await suspended { transfer.start($0) }
        } onCancel: {
            waitable.recheck()
            destination.waitable.recheck()
        }
    }

    /// Whether a transfer is to be taken up again; throws what has ended it.
    @inline(never)
    private func goesOn(_ transfer: Transfer, to destination: Connection) throws(SocketError) -> Bool {
        switch transfer.outcome {
        case .finished: return false
        case .needsTurn: break
        case .changed(.receive): try recheck(.receive, .receive, 0)
        case .changed(.send): try destination.recheck(.send, .send, 0)
        case .failed(.receive, let errno): throw failed(.receive, errno, 0)
        case .failed(.send, let errno): throw destination.failed(.send, errno, 0)
        }
        return true
    }

    @inline(never)
    private func end(_ transfer: Transfer) {
        transfer.giveTurn()
        waitable.giveTurn(.receive)
    }
}
