/// Bytes that were received and then not needed, or not enough: the next receive gets them first.
///
/// So a receive that fails half-way, or a line that came together with the next one, loses nothing.
struct UnreadBytes {
    private var bytes: [UInt8] = []
    private var start = 0

    var isEmpty: Bool { bytes.isEmpty }
    var all: ArraySlice<UInt8> { bytes[start...] }

    /// Takes up to `count` bytes off the front.
    mutating func take(upTo count: Int) -> ArraySlice<UInt8> {
        let taken = bytes[start...].prefix(count)
        start += taken.count
        if start == bytes.count { self = UnreadBytes() }
        return taken
    }

    /// Puts bytes back before those that are here.
    mutating func putBack(_ returned: ArraySlice<UInt8>) {
        guard !returned.isEmpty else { return }
        bytes = Array(returned) + bytes[start...]
        start = 0
    }

    /// Adds bytes that have just come.
    mutating func append(_ more: some Sequence<UInt8>) {
        if start > 0 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: more)
    }
}
