/// An endpoint, address or parameter that cannot be read: the text, where in it, why, and what would be right.
public struct EndpointError: Error, Hashable, Sendable {
    /// The text as it was given.
    public let text: String
    /// Where in the text, in bytes of UTF-8, counted from 0.
    public let position: Int
    /// What is wrong there, and where it is known what would be right.
    public let reason: String

    /// An error at a position of a text.
    package init(text: String, position: Int, reason: String) {
        self.text = text
        self.position = position
        self.reason = reason
    }
}

extension EndpointError: CustomStringConvertible {
    /// One sentence; positions are told as a person counts, from 1, and the text is safe for a terminal.
    public var description: String {
        "bad endpoint \"\(text.escapedForTerminal())\", at character \(position + 1): \(reason)"
    }
}

/// The word of `words` that was most likely meant by `word`, if one is near enough (at most two edits, or one for a short
/// word).
package func nearest<Words: Sequence<String>>(to word: String, in words: Words) -> String? {
    let most = word.count <= 3 ? 1 : 2
    let ranked = words.map { ($0, editDistance(Array(word.utf8), Array($0.utf8))) }
    return ranked.filter { $0.1 <= most }.min { $0.1 < $1.1 }?.0
}

/// Levenshtein's distance.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let replaced = diagonal + (x == y ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}
