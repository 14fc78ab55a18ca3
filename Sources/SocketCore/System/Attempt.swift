/// The two ways a byte can go through a descriptor, and so the two things one can wait for.
@frozen @usableFromInline
package enum Direction: Sendable {
    case receive, send
}

/// What one try at a system call gave: its value, or the direction to wait for before the next try.
///
/// Would-block is a value here, never an error: it is what happens most of the time.
package enum Attempt<Value> {
    case done(Value)
    case wait(Direction)
}
