internal import CSockets

/// A value that one thread at a time can touch, behind a futex(7) lock (in CSockets.c).
///
/// `Synchronization.Mutex` would do the same. But on Linux the thread sanitizer cannot see into it, and reports a race
/// wherever one is used; and its priority-inheriting futexes are slow under contention.
///
/// It is inlinable, because a generic type's code runs several times slower where its value's type is not known.
@usableFromInline
package struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    /// The lock's word, and behind it the value: one allocation, two addresses, for the sanitizer tells accesses by theirs.
    @usableFromInline let word: UnsafeMutablePointer<UInt32>
    @inlinable static var offset: Int { max(MemoryLayout<Value>.alignment, MemoryLayout<UInt32>.stride) }

    /// Safety: touched only by who holds the lock.
    @inlinable var value: UnsafeMutablePointer<Value> {
        (UnsafeMutableRawPointer(word) + Self.offset).assumingMemoryBound(to: Value.self)
    }

    @inlinable
    package init(_ value: consuming sending Value) {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: Self.offset + MemoryLayout<Value>.size, alignment: Self.offset)
        word = memory.initializeMemory(as: UInt32.self, to: 0)
        (memory + Self.offset).initializeMemory(as: Value.self, to: value)
    }

    @inlinable
    deinit {
        value.deinitialize(count: 1)
        UnsafeMutableRawPointer(word).deallocate()
    }

    /// Runs `body` with the value while no other thread does. Blocks the thread while another holds the lock.
    @inlinable
    package borrowing func withLock<R, E: Error>(
        _ body: (inout sending Value) throws(E) -> sending R
    ) throws(E) -> sending R {
        acquire(word)
        defer { release(word) }
        return try body(&value.pointee)
    }
}

@usableFromInline
func acquire(_ word: UnsafeMutablePointer<UInt32>) { csockets_lock(word) }

@usableFromInline
func release(_ word: UnsafeMutablePointer<UInt32>) { csockets_unlock(word) }
