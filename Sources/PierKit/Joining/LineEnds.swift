/// Makes each line end CR LF, as many protocols of the Internet have it. Pieces may be cut anywhere, also between the two.
struct LineEnds: Sendable {
    private var endsWithReturn = false

    /// The bytes with a CR before each LF that has none.
    mutating func converted(_ bytes: [UInt8]) -> [UInt8] {
        var converted: [UInt8] = []
        converted.reserveCapacity(bytes.count)
        for byte in bytes {
            if byte == UInt8(ascii: "\n"), !endsWithReturn { converted.append(UInt8(ascii: "\r")) }
            converted.append(byte)
            endsWithReturn = byte == UInt8(ascii: "\r")
        }
        return converted
    }
}
