internal import CSockets

/// A value that one thread at a time can touch, behind a futex(7) lock (in CSockets.c).
///
/// `Synchronization.Mutex` would do the same. But on Linux the thread sanitizer cannot see into it, and reports a race
/// wherever one is used; and its priority-inheriting futexes are slow under contention.
package struct Lock<Value>: ~Copyable, @unchecked Sendable {
    private let word: UnsafeMutablePointer<UInt32>
    /// Safety: touched only by who holds the lock.
    private let value: UnsafeMutablePointer<Value>

    package init(_ value: sending Value) {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        word.deallocate()
    }

    /// Runs `body` with the value while no other thread does. Blocks the thread while another holds the lock.
    package borrowing func withLock<R, E: Error>(
        _ body: (inout sending Value) throws(E) -> sending R
    ) throws(E) -> sending R {
        csockets_lock(word)
        defer { csockets_unlock(word) }
        return try body(&value.pointee)
    }
}
