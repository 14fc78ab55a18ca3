/// Where receiving ends by this side's will: after a number of bytes, or behind the first of a text.
struct Stop: Sendable {
    /// What was asked for.
    enum Goal: Sendable, Equatable {
        case bytes(Int)
        case text([UInt8])
    }

    private let goal: Goal
    private var search: TextSearch?
    /// How many bytes came, up to the stop.
    private(set) var count = 0
    private(set) var isReached = false

    init(_ goal: Goal) {
        self.goal = goal
        if case .text(let text) = goal { search = TextSearch(text) }
    }

    /// The flag that asked for it.
    var flag: String { if case .bytes = goal { "--bytes" } else { "--until" } }

    /// How many bytes may be received at once: what comes after the number is left to the system.
    func room(_ most: Int) -> Int {
        if case .bytes(let wanted) = goal { min(most, max(wanted - count, 1)) } else { most }
    }

    /// What of the bytes that came stands before the stop.
    mutating func taken(of bytes: [UInt8]) -> [UInt8] {
        switch goal {
        case .bytes(let wanted):
            let taken = bytes.prefix(max(0, wanted - count))
            count += taken.count
            isReached = count >= wanted
            return Array(taken)
        case .text:
            let end = search?.end(in: bytes)
            isReached = end != nil
            let taken = bytes.prefix(end ?? bytes.count)
            count += taken.count
            return Array(taken)
        }
    }

    /// That the end came first.
    func missed(by name: String) -> String {
        switch goal {
        case .bytes(let wanted):
            text(
                "\(name) finished after \(count) bytes of the \(wanted) that --bytes asks for",
                "\(name) 发来 \(count) 字节就结束了，而 --bytes 要求 \(wanted) 字节")
        case .text:
            text(
                "\(name) finished after \(count) bytes, and the text that --until asks for was not among them",
                "\(name) 发来 \(count) 字节就结束了，其中没有 --until 要求的文字")
        }
    }
}
