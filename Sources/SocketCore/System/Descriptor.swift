/// A file descriptor and the duty to close it: closed once, by whoever holds it last.
package struct Descriptor: ~Copyable, Sendable {
    package let rawValue: CInt

    /// Takes over a descriptor that somebody else made.
    package init(owning rawValue: CInt) {
        self.rawValue = rawValue
    }

    /// Gives the duty to close it to the caller.
    package consuming func release() -> CInt {
        let raw = rawValue
        discard self
        return raw
    }

    deinit { System.close(rawValue) }
}
