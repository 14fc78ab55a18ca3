/// Looks for a text in a stream of bytes that comes in pieces, cut anywhere: the algorithm of Knuth, Morris and Pratt, which
/// looks at each byte once and keeps none.
struct TextSearch: Sendable {
    private let text: [UInt8]
    /// For each beginning of the text, how many of its last bytes are a shorter beginning of it.
    private let borders: [Int]
    /// How many bytes of the text's beginning stand at the end of what has come.
    private var matched = 0

    /// For a text that is not empty.
    init(_ text: [UInt8]) {
        self.text = text
        var borders = [0]
        var length = 0
        for byte in text.dropFirst() {
            while length > 0, text[length] != byte { length = borders[length - 1] }
            if text[length] == byte { length += 1 }
            borders.append(length)
        }
        self.borders = borders
    }

    /// How many of the bytes that come now belong to what ends with the text; nil when it has not come to its end.
    mutating func end(in bytes: [UInt8]) -> Int? {
        for (index, byte) in bytes.enumerated() {
            while matched > 0, text[matched] != byte { matched = borders[matched - 1] }
            if text[matched] == byte { matched += 1 }
            guard matched == text.count else { continue }
            matched = 0
            return index + 1
        }
        return nil
    }
}
