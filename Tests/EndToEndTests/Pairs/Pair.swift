import Testing

/// What a relay joins: who is in front of it, and who is behind. What is different between pairs is said here, so that a
/// test of the contract is the same for all of them.
struct Pair: Sendable, CustomTestStringConvertible {
    enum Front: CaseIterable, Sendable {
        /// Listeners, with any number of clients.
        case tcp, unix
        /// One client, that is there already: a program, what a file says, the relay's own input and output.
        case exec, file, standard
    }

    enum Back: CaseIterable, Sendable {
        case tcp, unix, exec
    }

    let front: Front
    let back: Back

    var testDescription: String { "\(front) to \(back)" }

    /// Whether clients come, again and again; or else there is one, and the relay ends with it.
    var listens: Bool { front == .tcp || front == .unix }

    /// What the client hears of an answer: one that only reads a file hears nothing.
    func heard(of answer: String) -> String { front == .file ? "" : answer }

    /// How the client's hearing ends when its target resets: only TCP can say more than that nothing comes any more.
    var endAfterReset: Side.End { front == .tcp ? .reset : .finished }

    static let all = Front.allCases.flatMap { front in Back.allCases.map { Pair(front: front, back: $0) } }
    static let listening = all.filter(\.listens)
    static let joiningOne = all.filter { !$0.listens }
    /// Those whose target can reset. A program cannot; that it is killed is another matter.
    static let resetting = all.filter { $0.back != .exec }
    static let running = all.filter { $0.back == .exec }
    static let standard = all.filter { $0.front == .standard }
}
