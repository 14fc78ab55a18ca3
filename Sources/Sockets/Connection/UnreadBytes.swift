/// Bytes that were received and then not needed, or not enough: the next receive gets them first.
///
/// So a receive that fails half-way, or a line that came together with the next one, loses nothing. Most connections never
/// have any, so they are behind a pointer.
struct UnreadBytes {
    private final class Store {
        var bytes: [UInt8]
        var start = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    /// Never without bytes.
    private var store: Store?

    var isEmpty: Bool { store == nil }
    var all: ArraySlice<UInt8> { store.map { $0.bytes[$0.start...] } ?? [] }

    /// Takes up to `count` bytes off the front.
    mutating func take(upTo count: Int) -> ArraySlice<UInt8> {
        guard let store else { return [] }
        let taken = all.prefix(count)
        store.start += taken.count
        if store.start == store.bytes.count { self.store = nil }
        return taken
    }

    /// Puts bytes back before those that are here.
    mutating func putBack(_ returned: ArraySlice<UInt8>) {
        if !returned.isEmpty { store = Store(Array(returned) + all) }
    }

    /// Adds bytes that have just come.
    mutating func append(_ more: some Sequence<UInt8>) {
        guard let store else {
            let bytes = Array(more)
            if !bytes.isEmpty { self.store = Store(bytes) }
            return
        }
        if store.start > 0 {
            store.bytes.removeFirst(store.start)
            store.start = 0
        }
        store.bytes.append(contentsOf: more)
    }
}
