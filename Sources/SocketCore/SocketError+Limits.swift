// With a limit of zero nothing is served, and a negative one means nothing. Both are mistakes of the caller, so they are refused
// where they are given: as a limit they would only be seen by what does not happen.

extension SocketError.Cause {
    /// A number that must be at least `least`.
    package static func tooSmall(_ what: String, _ value: Int, least: Int = 1) -> Self {
        .misuse("\(what) must be at least \(least), and it is \(value)")
    }

    /// What is wrong with a number that must be at least 1; nil if nothing is.
    package static func refusing(_ what: String, _ value: Int) -> Self? {
        value < 1 ? tooSmall(what, value) : nil
    }

    /// What is wrong with a time that must be above zero; nil if nothing is, or if there is no limit.
    package static func refusing(_ what: String, _ value: Duration?) -> Self? {
        guard let value, value <= .zero else { return nil }
        return .misuse("\(what) must be above zero, and it is \(value)")
    }

    /// What is wrong with a time that must not be below zero; nil if nothing is, or if there is no limit.
    package static func refusingNegative(_ what: String, _ value: Duration?) -> Self? {
        guard let value, value < .zero else { return nil }
        return .misuse("\(what) must not be below zero, and it is \(value)")
    }
}
