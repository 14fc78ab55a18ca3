internal import Sockets
internal import SocketCore

/// How standard input and output are joined to a peer, as the flags say, and how what came is written.
struct JoinRules: Sendable {
    var duplex: Duplex
    /// Nil is as it is, or as text on a terminal.
    let show: Show?
    /// Where receiving ends by itself; nil is at the peer's end alone.
    let stop: Stop?
    /// Whether each line end of the input is sent as CR LF.
    let sendsReturns: Bool
    /// The silence that ends it: the peer's, with datagrams; the input's, where a stream's peer has finished first. Nil where
    /// the user has not chosen it.
    let linger: Duration?
    static let usualLinger = Duration.seconds(1)
    /// How long a datagram peer may be silent after the end of input, and how long an answer may take.
    var silence: Duration { linger ?? Self.usualLinger }
    /// After how long a silence the peer's system is asked whether it is still there.
    let keepAlive: Duration?
    /// How long the peer may take to finish after the first signal, and a program to end after its stream; nil is for ever.
    let grace: Duration?
    /// How long a peer may be silent altogether; nil is for ever.
    var idleTimeout: Duration?
    /// Whether the input is also for the peers that come after this one.
    var keepsInput = false
    /// Whether the peer has the first word of a dialogue.
    var answers = false
    let report: Report

    /// How what is received is shown here; nil where it is written as it is.
    var shown: Show? { show ?? (Standard.isTerminal(1) ? .text : nil) }

    /// The rule for a connection: one way or half, the wire is full-duplex; the dialogue's rule is the library's.
    var wireDuplex: Duplex { duplex == .half ? .half : .full }

    func write(_ bytes: [UInt8]) throws(Failure) {
        do throws(Errno) {
            try Standard.write(bytes, to: 1)
        } catch {
            throw Failure(output: error)
        }
    }

    func write(_ text: String) throws(Failure) { try write(Array(text.utf8)) }

    /// Tells the user something, before the next prompt.
    func note(_ words: String) {
        report.note(words)
        catchUp()
    }

    /// What stands before what the peer said, in a dialogue.
    var mark: String { answers ? Language.current.received : Language.current.reply }

    /// Lets what was traced come out before what is written next, as far as somebody reads it.
    func catchUp() { report.flush(within: .milliseconds(100)) }
}

/// Standard input and output joined to one peer.
protocol Join: AnyObject, Delivery, Sendable {
    var account: Account { get }
    /// Until the peer's end, or what stands for it. Blocks the thread.
    func run() throws(Failure)
    /// Ends the connection at once, as one that was cut short; false where it had ended already.
    @discardableResult
    func cut() -> Bool
}
