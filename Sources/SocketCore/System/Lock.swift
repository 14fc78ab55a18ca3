internal import CSockets

/// A value that one thread at a time can touch, behind a futex(7) lock (in CSockets.c).
///
/// `Synchronization.Mutex` would do the same. But on Linux the thread sanitizer cannot see into it, and reports a race
/// wherever one is used; and its priority-inheriting futexes are slow under contention.
package struct Lock<Value>: ~Copyable, @unchecked Sendable {
    private struct Cell {
        /// First, so that the cell's address is its address.
        var word: UInt32 = 0
        var value: Value
    }

    /// Safety: the value is touched only by who holds the lock.
    private let cell: UnsafeMutablePointer<Cell>

    package init(_ value: sending Value) {
        cell = .allocate(capacity: 1)
        cell.initialize(to: Cell(value: value))
    }

    deinit {
        cell.deinitialize(count: 1)
        cell.deallocate()
    }

    /// Runs `body` with the value while no other thread does. Blocks the thread while another holds the lock.
    package borrowing func withLock<R, E: Error>(
        _ body: (inout sending Value) throws(E) -> sending R
    ) throws(E) -> sending R {
        let word = UnsafeMutableRawPointer(cell).assumingMemoryBound(to: UInt32.self)
        csockets_lock(word)
        defer { csockets_unlock(word) }
        return try body(&cell.pointee.value)
    }
}
