/// An endpoint, address or parameter that cannot be read: the text, where in it, why, and what would be right.
public struct EndpointError: Error, Hashable, Sendable {
    /// The text as it was given.
    public let text: String
    /// Where in the text, in bytes of UTF-8, counted from 0.
    public let position: Int
    /// What is wrong there, and where it is known what would be right.
    public var reason: String { phrase.text }
    /// The same, for who says it in another language.
    package let phrase: Phrase

    /// An error at a position of a text.
    package init(text: String, position: Int, reason: Phrase) {
        self.text = text
        self.position = position
        phrase = reason
    }

    /// The position as a person counts: in characters, from 1.
    package var character: Int { String(decoding: text.utf8.prefix(position), as: UTF8.self).count + 1 }
}

extension EndpointError: CustomStringConvertible {
    /// One sentence; positions are told as a person counts, and the text is safe for a terminal.
    public var description: String {
        "bad endpoint \"\(text.escapedForTerminal())\", at character \(character): \(reason)"
    }
}

/// The word of `words` that was most likely meant by `word`: the shortest that begins with it, or else the nearest, if one is
/// near enough (at most two edits, or one for a short word).
package func nearest<Words: Sequence<String>>(to word: String, in words: Words) -> String? {
    if word.count >= 3, let whole = words.filter({ $0.hasPrefix(word) }).min(by: { $0.count < $1.count }) {
        return whole
    }
    let most = word.count <= 3 ? 1 : 2
    let ranked = words.map { ($0, editDistance(Array(word.utf8), Array($0.utf8))) }
    return ranked.filter { $0.1 <= most }.min { $0.1 < $1.1 }?.0
}

/// How many letters must be put in, left out, replaced, or swapped with their neighbours to make `b` of `a`.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before: [Int] = []
    var last = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var row = [i + 1]
        for (j, y) in b.enumerated() {
            var least = min(last[j] + (x == y ? 0 : 1), last[j + 1] + 1, row[j] + 1)
            if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { least = min(least, before[j - 1] + 1) }
            row.append(least)
        }
        (before, last) = (last, row)
    }
    return last[b.count]
}
