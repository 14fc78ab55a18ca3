internal import SocketCore
internal import SystemPackage

// What a program or a file at the other end of a socket pair is at liberty to leave off. It looks like a break, and is none.

extension Connection {
    /// Whether that is the end of a program that did not read all of its input: on a socket pair it looks like a reset.
    func hasLeftUnread(_ error: SocketError) -> Bool {
        origin == .paired && error.operation == .receive && error.cause == .system(.connectionReset)
    }

    /// Whether a program or a file takes nothing any more, though it may still give.
    func takesNoMore(_ error: SocketError) -> Bool {
        origin == .paired && error.operation == .send && error.cause == .system(.brokenPipe)
    }

    /// Whether an error is no failure of the stream, for one of these reasons.
    package func isAtLibertyTo(_ error: SocketError) -> Bool { hasLeftUnread(error) || takesNoMore(error) }
}
