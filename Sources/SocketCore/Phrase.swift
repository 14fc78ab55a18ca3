/// A sentence with the values in it kept apart, so that who can say the same in another language finds it by its words.
///
/// It is written as a string with interpolations; a phrase in a phrase becomes part of it.
package struct Phrase: Hashable, Sendable {
    /// The words, with `%` where a value stands.
    package private(set) var words = ""
    /// The values, in order.
    package private(set) var values: [String] = []

    /// The sentence as it was written.
    package var text: String { said(words) }

    /// The values put into a sentence of other words.
    package func said(_ words: String) -> String {
        let parts = words.split(separator: "%", omittingEmptySubsequences: false)
        var said = String(parts.first ?? "")
        for (index, part) in parts.dropFirst().enumerated() {
            said += (index < values.count ? values[index] : "%") + part
        }
        return said
    }
}

extension Phrase: ExpressibleByStringInterpolation {
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var phrase = Phrase()

        package init(literalCapacity: Int, interpolationCount: Int) {}

        package mutating func appendLiteral(_ literal: String) {
            // A percent sign of the sentence's own is a value that is always the same.
            let parts = literal.split(separator: "%", omittingEmptySubsequences: false)
            phrase.words += parts.joined(separator: "%")
            phrase.values += Array(repeating: "%", count: parts.count - 1)
        }

        package mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            phrase.words += "%"
            phrase.values.append(value.description)
        }

        package mutating func appendInterpolation(_ part: Phrase) {
            phrase.words += part.words
            phrase.values += part.values
        }
    }

    package init(stringInterpolation: StringInterpolation) { self = stringInterpolation.phrase }

    package init(stringLiteral: String) {
        var interpolation = StringInterpolation(literalCapacity: 0, interpolationCount: 0)
        interpolation.appendLiteral(stringLiteral)
        self = interpolation.phrase
    }
}
