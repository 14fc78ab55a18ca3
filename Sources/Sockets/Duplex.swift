/// A connection's rule of who may speak when.
///
/// The wire of a stream is always full-duplex; the rule is this side's own. To end one direction of the wire is another
/// thing: `finishSending()` and `stopReceiving()`.
public enum Duplex: String, Sendable, CaseIterable {
    /// Both at once, as on a telephone.
    case full
    /// One at a time, as on a walkie-talkie: a send waits while a receive is under way, and the reverse.
    case half
    /// Sending only; to receive is an error.
    case send
    /// Receiving only, as of a broadcast; to send is an error.
    case receive
}
