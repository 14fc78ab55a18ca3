internal import Loops
internal import SocketCore
internal import SystemPackage

// One message at a time through the loop's buffer; or what comes in bulk, by way of a pipe.

extension Transfer {
    /// After so many, it is taken for a transfer in bulk.
    private static let fullReadsForPipe = 2
    /// Less than this at a time is better copied.
    private static let leastForPipe = 16384

    /// What came of trying to move a message.
    enum Step {
        case moved, finished
        case wait(Direction)
        /// Another's send is under way.
        case busy
        /// Sending is over before it begins: the destination is closed, or its time has passed.
        case over
    }

    /// Moves one message.
    func step() throws(Errno) -> Step {
        if !held.isEmpty { return try sendHeld() }
        if isBulk, source.unread.isEmpty, let step = try stepByPipe() { return step }
        awaited = .receive
        if source.isKnownToBeEmpty { return .wait(.receive) }
        guard let scratch = EventLoop.scratch else { return .wait(.receive) }
        let buffer = UnsafeMutableRawBufferPointer(start: scratch.baseAddress, count: min(most, scratch.count))
        switch try source.attemptReceive(from.rawValue, into: buffer) {
        case .wait: return .wait(.receive)
        case .done(0): return .finished
        case .done(let received):
            awaited = .send
            flow?.received()
            noteSize(received, of: buffer.count)
            let message = UnsafeRawBufferPointer(start: buffer.baseAddress, count: received)
            sent = 0
            if let obstacle = takeTurn() {
                held = Array(message)
                return obstacle
            }
            let result: Attempt<Void>
            do throws(Errno) {
                result = try destination.attemptSend(into.rawValue, message, &sent)
            } catch {
                note(sent)
                sentOfMessage = sent
                throw error
            }
            note(sent)
            if case .done = result {
                giveTurn()
                return .moved
            }
            held = Array(message[sent...])
            sentOfMessage = sent
            sent = 0
            return .wait(.send)
        }
    }

    /// Takes the turn to send, unless it is the transfer's; or says why there is none.
    @inline(__always)
    private func takeTurn() -> Step? {
        if !hasTurn {
            switch into.tryTakeTurn(.send) {
            case .mine: hasTurn = true
            case .busy: return .busy
            case .closed: return .over
            }
        }
        guard into.deadline(.send).isPast || destination.cutCount > 0 else { return nil }
        // The turn of a message under way stays taken until its cut is marked.
        if sentOfMessage == 0 { giveTurn() }
        return .over
    }

    /// Moves what there is by way of the pipe; nil where the loop's buffer is the way, or the place to find the end.
    @inline(never)
    private func stepByPipe() throws(Errno) -> Step? {
        guard let pipe = pipe ?? SplicePipe.take() else {
            isBulk = false
            return nil
        }
        self.pipe = pipe
        if pipe.count == 0 {
            awaited = .receive
            let filled: Attempt<Int>
            do throws(Errno) {
                filled = try pipe.fill(from: from.rawValue)
            } catch {
                guard error == .invalidArgument else { throw error }
                mustCopy = true
                leaveBulk()
                return nil
            }
            switch filled {
            case .wait:
                // Whoever waits has no need of a pipe.
                givePipe()
                return .wait(.receive)
            case .done(0):
                leaveBulk()
                return nil
            case .done(let moved):
                flow?.received()
                if moved < Self.leastForPipe { isBulk = false }
            }
        }
        awaited = .send
        if let obstacle = takeTurn() { return obstacle }
        while pipe.count > 0 {
            do throws(Errno) {
                switch try pipe.drain(into: into.rawValue) {
                case .wait:
                    isBulk = true
                    return .wait(.send)
                case .done(let moved):
                    note(moved)
                    sentOfMessage &+= moved
                }
            } catch {
                if error == .invalidArgument {
                    try takeBack(from: pipe)
                    return try sendHeld()
                }
                destination.note(breakage: error)
                throw error
            }
        }
        sentOfMessage = 0
        giveTurn()
        if !isBulk { leaveBulk() }
        return .moved
    }

    /// Copies what is in the pipe, which the destination does not take from one.
    private func takeBack(from pipe: SplicePipe) throws(Errno) {
        held = try pipe.empty()
        sent = 0
        mustCopy = true
        leaveBulk()
    }

    private func givePipe() {
        pipe?.give()
        pipe = nil
    }

    private func leaveBulk() {
        givePipe()
        isBulk = false
        fullReads = 0
    }

    /// Counts reads that were as large as could be.
    private func noteSize(_ received: Int, of most: Int) {
        guard received == most, most == EventLoop.scratchSize, !mustCopy else {
            fullReads = 0
            return
        }
        fullReads += 1
        if fullReads < Self.fullReadsForPipe { return }
        isBulk = true
        fullReads = 0
    }

    private func note(_ bytes: Int) {
        count &+= UInt64(bytes)
        flow?.add(bytes)
    }

    private func sendHeld() throws(Errno) -> Step {
        awaited = .send
        if let obstacle = takeTurn() { return obstacle }
        let before = sent
        defer { note(sent - before) }
        let bytes = pointer(to: held.span.bytes)
        do throws(Errno) {
            guard case .done = try destination.attemptSend(into.rawValue, bytes, &sent) else {
                sentOfMessage &+= sent - before
                return .wait(.send)
            }
        } catch {
            sentOfMessage &+= sent - before
            throw error
        }
        held = []
        sentOfMessage = 0
        giveTurn()
        return .moved
    }
}
